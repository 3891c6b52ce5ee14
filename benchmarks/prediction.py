"""How well latency is predicted, on networks that the predictor has never seen.

Without --fit and --test: the latency table of this machine, on random networks of a search space.
With them: whole networks on real boards, learnt from one folder of measurements and checked on another.

python -m benchmarks.prediction --output results/prediction.jsonl
python -m benchmarks.prediction --fit measured/ --test kept-back/ [--json]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if not __package__:  # run as a file: the packages lie beside its folder
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from benchmarks.boards import command as boards


def arguments() -> argparse.Namespace:
    """The options of both parts."""
    from benchmarks import subnets

    parser = common.parser(__doc__)
    boards.add_options(parser)
    subnets.add_options(parser)
    return parser.parse_args()


def main() -> None:
    """Runs the part that the options ask for."""
    from benchmarks import subnets

    options = arguments()
    if options.fit or options.test:
        boards.run(options)
        return
    subnets.run(options)


if __name__ == "__main__":
    common.run(main)
