"""Any module: what is found in networks of every kind, and whether a ticket of each holds what is promised.

For every architecture a latency table is measured, and a ticket at half of the predicted latency is drawn,
cut out, compared with the masked network, exported, run and timed. Its prediction is that of a search: the
table's, at the speed that the dense network shows at the same time; what the table alone says stands beside
it. A second ticket, at the same share of the multiply-accumulates, is compared and exported too. What fails
is named in the table.

python -m benchmarks.zoo --output results/zoo.jsonl
python -m benchmarks.zoo --only resnet18,unet [--share 0.5] [--json]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

if not __package__:  # run as a file: the packages lie beside its folder
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from benchmarks.architectures import Architecture, chosen
from benchmarks.zoo_ticket import Hosted, deviation, exported, kept_channels, outputs
from hwtickets.costs import LatencyCost, macs_cost
from hwtickets.devices import DeviceProfile, get_device
from hwtickets.errors import UsageError
from hwtickets.progress import Progress
from hwtickets.runtimes import load
from hwtickets.runtimes.timing import time_interleaved
from hwtickets.tables import LatencyTable, table_for

#: What the masked network and ONNX Runtime may be off by, and the prediction.
TOLERANCE, LATENCY_TOLERANCE = 1e-4, 0.15
RUNS = 200


def arguments() -> argparse.Namespace:
    """The options."""
    parser = common.parser(__doc__)
    parser.add_argument("--only", type=common.texts, metavar="A,B", help="names of architectures")
    parser.add_argument("--share", type=float, default=0.5, help="of the dense latency (default: 0.5)")
    parser.add_argument("--device", default="cpu", help="a device of this machine (default: cpu)")
    return parser.parse_args()


def trial(architecture: Architecture, device: DeviceProfile, share: float) -> dict[str, Any]:
    """Everything about one architecture; what it cannot do ends it, and is named under "failure"."""
    found: dict[str, Any] = {"family": architecture.family, "failure": architecture.missing}
    if found["failure"]:
        return found
    try:
        _fill(found, architecture, device, share)
    except Exception as error:  # A table of failures must not end with the first one.
        reason = str(error).strip().split("\n")[0]
        found["failure"] = f"{type(error).__name__}: {reason:.200}"
    return found


def _fill(found: dict[str, Any], architecture: Architecture, device: DeviceProfile, share: float) -> None:
    hosted, found["space_s"] = _timed(lambda: Hosted.of(architecture))
    found |= {"units": len(hosted.space.units), "unprunable": dict(hosted.space.unprunable)}
    found["channels"] = sum(hosted.space.dense().values())
    precision = device.precisions[0]
    table, found["table_s"] = _timed(lambda: table_for(hosted.space, device, precision, Progress(quiet=True)))
    found["table_error"] = dict(table.error)
    cost, scores = LatencyCost(table).additive(), hosted.random_scores()
    drawn = hosted.drawn({"latency": cost}, share, device.alignment, scores)
    found["kept_channels"] = sum(drawn.widths.values())
    found |= {"branches": len(hosted.space.branches), "gone": hosted.gone(drawn.widths)}
    by_macs = hosted.drawn({"macs": macs_cost()}, share, device.alignment, scores)
    dense_onnx, _ = exported(hosted.model)
    ticket_onnx, *exact = _exactness(hosted, kept_channels(scores, drawn.widths))
    _, *exact_by_macs = _exactness(hosted, kept_channels(scores, by_macs.widths))
    found["deviation"], found["parity"] = map(max, exact, exact_by_macs)
    found |= _latencies(hosted, drawn.widths, table, dense_onnx, ticket_onnx)
    found["failure"] = _failure(found)


def _exactness(hosted: Hosted, kept: dict[str, Tensor]) -> tuple[bytes, float, float]:
    """A ticket as ONNX, how far it is from the masked network, and ONNX Runtime from it."""
    ticket, shape = hosted.cut(kept), hosted.model.input_shape
    off = deviation(outputs(ticket, shape), outputs(hosted.masked(kept), shape))
    written, parity = exported(ticket)
    return written, off, parity


def _latencies(
    hosted: Hosted, widths: dict[str, int], table: LatencyTable, dense_onnx: bytes, ticket_onnx: bytes
) -> dict[str, Any]:
    """Predicted and measured latencies of the whole network and the ticket, and what was only estimated."""
    space = hosted.space
    sessions = {"dense": load(dense_onnx), "ticket": load(ticket_onnx)}
    timings = time_interleaved(sessions, sessions["dense"].random_inputs(), RUNS)
    graphs = {"dense": space.graph(space.dense()), "ticket": space.graph(widths)}
    return {
        "predicted_ms": {name: table.predict(graph).ms for name, graph in graphs.items()},
        "measured_ms": {name: timing.p50_ms for name, timing in timings.items()},
        "operators": len(graphs["ticket"]),
        "estimated": table.estimated(graphs["ticket"]),
    }


def _failure(found: dict[str, Any]) -> str:
    """What is out of bounds, in words; empty if nothing is."""
    error = _corrected_ms(found) / found["measured_ms"]["ticket"] - 1
    reasons = (
        (not found["units"], "no units found"),
        (not found["deviation"] <= TOLERANCE, f"masked network off by {found['deviation']:.1e}"),
        (not found["parity"] <= TOLERANCE, f"ONNX Runtime off by {found['parity']:.1e}"),
        (abs(error) > LATENCY_TOLERANCE, f"predicted latency off by {common.percent(error)}"),
    )
    return "; ".join(text for failed, text in reasons if failed)


def _corrected_ms(found: dict[str, Any]) -> float:
    """The ticket's prediction at the speed that the dense network shows now, as a search predicts."""
    speed = found["measured_ms"]["dense"] / found["predicted_ms"]["dense"]
    return float(found["predicted_ms"]["ticket"] * speed)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begin_s = time.perf_counter()
    return work(), round(time.perf_counter() - begin_s, 1)


def table_of(results: dict[str, dict[str, Any]]) -> common.Table:
    """The results for people."""
    columns = (
        *("architecture", "family", "units", "unprunable", "channels kept", "branches gone"),
        *("masked", "ONNX Runtime"),
        *("dense", "ticket", "predicted", "error", "by the table alone", "its error"),
        *("estimated", "table", "verdict"),
    )
    return common.Table(
        "Tickets of any module, latency on this CPU in ms",
        columns,
        [_row(name, found) for name, found in results.items()],
    )


def _row(name: str, found: dict[str, Any]) -> list[str]:
    failure = found["failure"]
    if "measured_ms" not in found:
        known = [str(found.get("units", "-")), str(len(found.get("unprunable", ())))]
        return [name, found["family"], *known, *["-"] * 12, f"FAILED: {failure}"]
    measured, predicted = found["measured_ms"], found["predicted_ms"]
    return [
        name,
        found["family"],
        str(found["units"]),
        str(len(found["unprunable"])),
        common.percent(found["kept_channels"] / found["channels"], 0),
        f"{len(found['gone'])} of {found['branches']}" if "gone" in found else "-",
        f"{found['deviation']:.0e}",
        f"{found['parity']:.0e}",
        f"{measured['dense']:.3f}",
        f"{measured['ticket']:.3f}",
        f"{_corrected_ms(found):.3f}",
        common.percent(_corrected_ms(found) / measured["ticket"] - 1),
        f"{predicted['ticket']:.3f}",
        common.percent(predicted["ticket"] / measured["ticket"] - 1),
        f"{len(found['estimated'])} of {found['operators']}",
        f"{found['table_s']:.0f} s",
        f"FAILED: {failure}" if failure else "ok",
    ]


def main() -> None:
    """Tries the architectures one after the other."""
    options = arguments()
    device = get_device(options.device)
    if device.connection != "local":
        raise UsageError(f"{device.name} is no device of this machine; latencies are compared with this CPU")
    architectures = chosen(options.only)
    points = common.Points("zoo", options.output, {"share": options.share, "device": device.name})
    results = {}
    for architecture in architectures:
        print(f"{architecture.name} ...", file=sys.stderr, flush=True)
        results[architecture.name] = points.once(
            {"architecture": architecture.name}, partial(trial, architecture, device, options.share)
        )
    failed = [name for name, found in results.items() if found["failure"]]
    common.show({"points": results, "failed": failed}, [table_of(results)], options.json)


if __name__ == "__main__":
    common.run(main)
