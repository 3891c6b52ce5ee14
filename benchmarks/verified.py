"""Whether every deployed artefact of a run computes what PyTorch computes, and what it scores.

Of every run folder: each bundle that lies in it (dense network, tickets), and its ticket exported anew in
fp32 and in int8. All go through `hwtickets verify` in every runtime, on validation images of the task: the
largest error, absolute and as a share of the largest output, the cosine of the worst image, which decisions
are the same, and the score of the deployed network beside PyTorch's.

python -m benchmarks.verified runs/demo runs/scenes runs/figures --output results/verified.jsonl
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import common
from benchmarks.common import Points, Table
from hwtickets import api, files
from hwtickets.deploy.bundle import read_bundle
from hwtickets.errors import NumericsError, UsageError
from hwtickets.progress import Progress
from hwtickets.report.schema import Verification
from hwtickets.report.wording import alike
from hwtickets.sparsity.ticket import ticket_hash

#: What the ticket is exported in.
PRECISIONS = ("fp32", "int8")


def main() -> None:
    """Prints one line a bundle and runtime, and how many are as they should be."""
    parser = common.parser(__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders")
    parser.add_argument(
        "--devices",
        type=common.texts,
        default=["cpu", "cpu-openvino"],
        metavar="NAMES",
        help="what the bundles run on (default: cpu,cpu-openvino)",
    )
    parser.add_argument("--images", type=int, default=500, help="validation images of each (default: 500)")
    options = parser.parse_args()
    points = Points("verified", options.output, {"devices": options.devices, "images": options.images})
    artefacts = [
        entry
        for run in options.runs
        for entry in points.once(
            {"run": str(run), "tickets": sorted(tickets_of(run))},
            partial(verified, run, options.devices, options.images),
        )["artefacts"]
    ]
    count = sum(entry["passed"] for entry in artefacts)
    title = f"{count} of {len(artefacts)} deployed artefacts verified"
    common.show({"verified": count, "artefacts": artefacts}, [_table(title, artefacts)], options.json)


def tickets_of(run: Path) -> dict[str, Path]:
    """The tickets in a run folder by their hashes.

    Raises:
        UsageError: There is none.
    """
    found = {ticket_hash(path.parent): path.parent for path in sorted(run.rglob("ticket.json"))}
    if not found:
        raise UsageError(f"{run} holds no ticket; name the folder of a finished search")
    return found


def verified(run: Path, devices: list[str], images: int) -> dict[str, Any]:
    """Verifies what was deployed of a run.

    Args:
        run: Its folder, which stays as it is.
        devices: Where to run the bundles.
        images: Validation images of each.

    Returns:
        `artefacts`: for each bundle and device the `artefact`'s name, what `verify` wrote, and the `verdict`.

    Raises:
        NumericsError: int8 loses more than it may.
    """
    found, tickets = [], tickets_of(run)
    with TemporaryDirectory(prefix="hwtickets-") as scratch:
        for name, bundle in _bundles(run, Path(scratch)):
            ticket = tickets.get(read_bundle(bundle).facts["ticket"])
            about = {"run": str(run), "artefact": name}
            found += [{**about, **judged(bundle, ticket, device, images)} for device in devices]
    return {"artefacts": found}


def judged(bundle: Path, ticket: Path | None, device: str, images: int) -> dict[str, Any]:
    """What `verify` writes of a bundle on a device, and its `verdict` in words; arguments as it has them."""
    with TemporaryDirectory(prefix="hwtickets-") as scratch:
        verdict = "passed"
        try:
            api.verify(bundle, device, images, ticket, Path(scratch))
        except NumericsError as error:
            verdict = str(error)
        written = files.read_json(Path(scratch) / "verify.json", "verification")
    return {**written, "verdict": verdict}


def _bundles(run: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    """The bundles that lie in a run, and new ones of its ticket."""
    for path in sorted(run.rglob("model.json")):
        yield str(path.parent.relative_to(run)), path.parent
    if not (run / "ticket" / "ticket.json").is_file():
        return
    quiet = Progress(quiet=True)
    for precision in PRECISIONS:
        made = api.export(run / "ticket", "onnx", scratch / precision, quiet, precision)
        yield f"ticket, exported in {precision}", made


def _table(title: str, artefacts: list[dict[str, Any]]) -> Table:
    errors = ("max abs", "relative", "cosine", "alike")
    columns = ("run", "artefact", "precision", "device", "images", *errors, "score", "PyTorch", "verdict")
    return Table(title, columns, [_row(entry) for entry in artefacts])


def _row(entry: dict[str, Any]) -> list[str]:
    return [
        entry["run"],
        entry["artefact"],
        entry["precision"],
        entry["device"],
        str(entry["images"]),
        *(_figure(entry[key], ".2g") for key in ("max_abs_error", "max_rel_error")),
        _figure(entry["cosine"], ".6f"),
        alike(Verification.model_validate(entry)),
        *(_figure(entry[key], ".2f") for key in ("score_on_samples", "score_of_pytorch")),
        entry["verdict"],
    ]


def _figure(value: float | None, form: str) -> str:
    """What is not a number comes as None."""
    return "nan" if value is None else f"{value:{form}}"


if __name__ == "__main__":
    common.run(main)
