"""The report as data: what `report.json` may hold. Everything that was not measured is null, never 0."""

# ruff: noqa: RUF012 (pydantic copies the defaults of its models)
from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from hwtickets.errors import HwticketsError
from hwtickets.report.deployment import Deployment
from hwtickets.report.schema_parts import Amount, Count, Latency, Number, Part, Ratio, Text

SCHEMA = 1


class Task(Part):
    """What the network is for, and how its quality is counted.

    `resolution` is the side of square inputs, else their height and width, in pixels.
    """

    name: Text
    data: Text
    metric: Text
    metric_unit: str = "%"
    higher_is_better: bool = True
    resolution: Count | tuple[Count, Count] | None = None
    classes: list[str] | Count | None = None


class Device(Part):
    """Where the latencies are from; `measured` is false where they are only predicted.

    `energy` is what is known of the energies, or why nothing is.
    """

    name: Text
    runtime: Text
    precision: Text
    measured: bool
    energy: Text | None = None
    fingerprint: dict[str, Any] = {}


class BudgetResult(Part):
    """A budget as given ("40%"), its limit in `unit`, and the value that the ticket reached.

    Where the value is `predicted`, whether the device keeps the budget is not known: `kept` is null, or false
    if even the prediction misses it.
    """

    metric: Literal["latency", "macs", "size", "params", "energy"]
    text: Text
    limit: Amount
    unit: str
    value: Amount | None = None
    kept: bool | None = None
    predicted: bool = False


class Accuracy(Part):
    """The task's metric, in the task's unit.

    `test_figures` are those that are found together with `test`, by their names; `test` is the first of them.
    """

    validation: Number | None = None
    test: Number | None = None
    test_figures: dict[str, Number] = {}
    before_finetune: Number | None = None


class BlockTime(Part):
    """Time spent in one block of the deployed network, in ms."""

    name: Text
    ms: Amount | None = None


class Unit(Part):
    """How many channels of one branch the ticket keeps; `kernel` is null for a unit without one."""

    name: Text
    block: Text
    kernel: Count | None = None
    kept: Count
    total: Annotated[int, Field(ge=1)]


class Draw(Part):
    """One drawn subnet on the way to the ticket."""

    index: Count
    predicted_ms: Amount | None = None
    measured_ms: Amount | None = None
    limit_ms: Amount | None = None
    accepted: bool


class Verification(Part):
    """The exported network against PyTorch on real images.

    Which decisions agree is named by the task: `top1_agreement`, `pixel_agreement`, `miou_agreement`,
    `joint_agreement` (shares 0..1), `keypoint_shift_px`, ...; such keys are kept as they are.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    max_abs_error: Amount | None = None
    max_rel_error: Amount | None = None
    top1_agreement: Annotated[float, Field(ge=0, le=1)] | None = None
    images: Count | None = None


class Dense(Part):
    """The supernet at full width, exported like a ticket; `predicted_error_ms` reaches either way."""

    label: Text = "dense"
    latency_ms: Latency | None = None
    predicted_ms: Amount | None = None
    predicted_error_ms: Amount | None = None
    accuracy: Accuracy = Accuracy()
    macs: Amount | None = None
    params: Count | None = None
    size_bytes: Count | None = None
    blocks: list[BlockTime] = []


class Ticket(Dense):
    """A drawn subnet; `sparsity` is a share 0..1, `pattern` that of its masks, if it has any.

    `precisions` are those of its parts, where they were drawn; `drop` is what they cost of the score, and
    `max_drop` what they may. `estimated` are its operators that the table has neither a row of nor rows
    around.
    """

    id: Text
    label: Text
    role: Literal["ticket", "comparison"] = "ticket"
    price: Literal["latency", "macs"] = "latency"
    budget_text: str = ""
    ratio: Ratio | None = None
    compressed_bytes: Count | None = None
    sparsity: Annotated[float, Field(ge=0, le=1)] | None = None
    pattern: str = ""
    precisions: dict[str, str] = {}
    drop: Number | None = None
    max_drop: Number | None = None
    units: list[Unit] = []
    draws: list[Draw] = []
    verify: Verification | None = None
    estimated: list[str] = []


class Stage(Part):
    """One stage of the run and the wall time that it took."""

    name: Text
    seconds: Amount


class Table(Part):
    """The latency table behind the predictions, with its error on networks that it was not fitted on."""

    name: Text
    rows: Count | None = None
    error: dict[str, Any] = {}


class HistoryPoint(Part):
    """The state of the search after `step` optimizer steps; `latency_share` is of the dense network's."""

    step: Count
    loss: Number | None = None
    latency_share: Amount | None = None
    strength: Amount | None = None
    validation: Number | None = None


class Run(Part):
    """One run on one device; `notes` are lines that belong to every figure of it.

    `unprunable` says by layer why it was not cut.
    """

    schema_version: Literal[1] = Field(alias="schema")
    title: Text
    created: str = ""
    task: Task
    device: Device
    budgets: list[BudgetResult] = []
    seed: int | None = None
    versions: dict[str, Any] = {}
    command: str = ""
    dense: Dense
    tickets: list[Ticket] = []
    deployments: list[Deployment] = []
    stages: list[Stage] = []
    table: Table | None = None
    notes: list[str] = []
    unprunable: dict[str, str] = {}
    history: list[HistoryPoint] = []


class Document(Part):
    """One or several runs, shown on one page."""

    schema_version: Literal[1] = Field(alias="schema")
    title: Text
    created: str = ""
    runs: Annotated[list[Run], Field(min_length=1)]


def read_report(report: Mapping[str, Any], source: str = "report") -> Document:
    """Checks a report of one run, or a merged one (key "runs"), and gives it as one kind of document.

    Args:
        report: What `report.json` holds.
        source: Names the report in errors, e.g. the file that it is from.

    Raises:
        HwticketsError: A key is missing, unknown or of the wrong kind, or the schema is another one.
    """
    version = report.get("schema")
    if version != SCHEMA:
        raise HwticketsError(
            f"{source} has schema {version!r}, this hwtickets reads {SCHEMA}; write the report again"
        )
    try:
        if "runs" in report:
            return Document.model_validate(dict(report))
        run = Run.model_validate(dict(report))
    except ValidationError as error:
        raise HwticketsError(
            f"{source} is not valid: {_first_line(error)}; write the report again"
        ) from error
    return Document(schema=SCHEMA, title=run.title, created=run.created, runs=[run])


def _first_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "report"
    rest = error.error_count() - 1
    return f"{place}: {first['msg']}" + (f" (and {rest} more)" if rest else "")
