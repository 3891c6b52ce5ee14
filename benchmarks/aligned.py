"""What widths in whole multiples cost in accuracy when they are searched, at equal MACs, and what they save.

Searches by MACs with one threshold, as published: with arbitrary widths (1), and with widths in multiples.

python -m benchmarks.aligned --seeds 0,1,2 --macs 40% --multiples 1,8,16 --output results/aligned.jsonl
"""

from __future__ import annotations

from benchmarks import common, variants


def main() -> None:
    """Searches with every alignment and prints the comparison."""
    parser = common.search_parser(__doc__, "aligned")
    parser.add_argument("--macs", default="40%", metavar="BUDGET", help="default: 40%%")
    parser.add_argument("--multiples", type=common.numbers, default=[1, 8, 16], help="default: 1,8,16")
    options = parser.parse_args()
    shared = {"price": "macs", "shrink_by": "threshold", "unit_price": "slope"}
    names = {f"multiples of {multiple}": multiple for multiple in options.multiples}
    compared = {name: {**shared, "alignment": multiple} for name, multiple in names.items()}
    title = f"Alignment at {options.macs} MACs"
    variants.compare(options, "aligned", compared, "macs", options.macs, title)


if __name__ == "__main__":
    common.run(main)
