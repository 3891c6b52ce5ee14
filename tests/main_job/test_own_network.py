"""A network of one's own, from its checkpoint to a measured ticket: on the command line and in Python."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import hwtickets as hw
from hwtickets.cli.main import run as command
from hwtickets.errors import HwticketsError
from hwtickets.files import read_json, read_tensors
from hwtickets.modules import live
from hwtickets.modules.reference import load_module
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tables import Calibration, LatencyTable, Row, save_table
from hwtickets.tasks.task import Task
from tests.conftest import SAMPLE

NETWORK = '''
import torch
from torch import nn

class Net(nn.Module):
    """A stem, a residual block and a layer without a norm, as ResNets have them."""

    def __init__(self, width, num_classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.mid = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        return self.head(torch.relu(self.mid(x)).mean((2, 3)))

def build(width=32, num_classes=10):
    return Net(width, num_classes)
'''
REFERENCE = "own_network_of_the_test:build"
#: Of a search in miniature.
QUICK = {"batch_size": 20, "epochs": 1.0, "alignment": 8, "shrinks": 2, "max_draws": 1}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, tiny_task: Task) -> Iterator[nn.Module]:
    """The trained network; its code and its checkpoint lie in the current folder."""
    folder = tmp_path_factory.mktemp("own")
    (folder / f"{REFERENCE.partition(':')[0]}.py").write_text(NETWORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # torch's exporter traces itself at this level; pytest would format every record of it.
        logging.disable(logging.DEBUG)
        torch.manual_seed(0)
        model = load_module(REFERENCE, {})
        optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
        for step in range(30):
            x, y = tiny_task.train_batch(step)
            optimizer.zero_grad()
            tiny_task.loss(model(x), y).backward()
            optimizer.step()
        torch.save(model.state_dict(), folder / "trained.pt")
        yield model.eval()
        logging.disable(logging.NOTSET)


class _Rows(nn.Module):
    """A recurrent layer over rows of features."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.head = nn.LSTM(8, 16, batch_first=True), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rows(x)[0][:, -1])


def test_a_network_over_rows_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root.manager, "disable", logging.DEBUG)
    random = torch.Generator().manual_seed(0)
    inputs, classes = torch.randn(24, 5, 8, generator=random), torch.randint(0, 3, (24,), generator=random)
    examples = TensorDataset(inputs, classes)
    space = hw.SearchSpace.from_module(_Rows(), inputs[:1])
    task = hw.Task(examples, examples, nn.functional.cross_entropy, lambda o, t: (o.argmax(1) == t).sum())
    quick = {"pipeline": "post-training", "recipe": "finetune", "batch_size": 8, "alignment": 1, "trials": 3}
    found = hw.search(
        space, task, "jetson-orin-nano", {"macs": "60%"}, tmp_path, quiet=True, epochs=0.5, **quick
    )
    assert found.kept and found.module()(inputs).shape == (24, 3)
    assert found.module().rows.hidden_size < 16
    report = read_json(tmp_path / "report" / "report.json", "report")
    assert report["unprunable"] == {"head": "it makes the output of the network"}
    assert report["tickets"][0]["estimated"]
    assert hw.retrain(found, "finetune", epochs=0.5, quiet=True)


def test_a_network_over_features_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root.manager, "disable", logging.DEBUG)
    random = torch.Generator().manual_seed(0)
    inputs, classes = torch.randn(24, 12, generator=random), torch.randint(0, 3, (24,), generator=random)
    examples = TensorDataset(inputs, classes)
    torch.manual_seed(0)
    layers = (nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    space = hw.SearchSpace.from_module(nn.Sequential(*layers), inputs[:1])
    task = hw.Task(examples, examples, nn.functional.cross_entropy, lambda o, t: (o.argmax(1) == t).sum())
    quick = {"pipeline": "post-training", "recipe": "finetune", "batch_size": 8, "alignment": 4, "trials": 3}
    found = hw.search(space, task, "cpu", {"macs": "60%"}, tmp_path, quiet=True, epochs=0.5, **quick)
    assert found.kept and found.measured and found.module()(inputs).shape == (24, 3)
    widths = {found.module()[place].out_features for place in (0, 2)}
    assert 0 < min(widths) < 16, "what is narrower, and by how much, is for this machine to say"


@pytest.fixture(scope="module")
def table(own: nn.Module) -> str:
    """Prices that nobody measured, for a search that need not build a table first; what counts is timed."""
    space = hw.SearchSpace.from_module(own, torch.zeros(1, 1, 12, 12))
    specs = {
        operator.spec
        for width in range(8, 72, 8)
        for operator in space.graph({name: min(width, unit.width) for name, unit in space.units.items()})
    }
    rows = {spec: Row(1e-3 + spec.macs / 1e8, 1e-4, 100, 2) for spec in specs}
    made_up = LatencyTable(
        *("cpu", "onnxruntime", "fp32"),
        batch=1,
        alignment=8,
        fingerprint={"device": "cpu"},
        rows=rows,
        calibration=Calibration(0.005, 1.0, 0.0005),
        error={"median_error": 0.1, "p90_error": 0.2},
        provenance={"source": "made up"},
    )
    save_table(made_up, Path("table"))
    return "table"


@pytest.fixture(scope="module")
def arguments(table: str) -> list[str]:
    """What a command line says of the network and its data."""
    keys = {"data": f"fashion-mnist:{SAMPLE}", "resolution": 12, "table": table, **QUICK}
    keys["allow_other_fingerprint"] = True
    Path("quick.yaml").write_text(yaml.safe_dump(keys))
    return ["--config", "quick.yaml", "--module", REFERENCE, "--device", "cpu"]


def test_a_checkpoint_becomes_a_measured_ticket(
    own: nn.Module, arguments: list[str], tiny_task: Task
) -> None:
    code = command(
        ["search", *arguments, "--checkpoint", "trained.pt", "--latency", "75%", "--output-dir", "run"]
    )
    report = read_json(Path("run/report/report.json"), "report")
    report = report["runs"][0] if "runs" in report else report
    (budget,) = report["budgets"]
    # On busy cores the measurement may miss the budget: then the exit code says so.
    assert code == (0 if budget["kept"] else 3)
    assert report["device"]["measured"] and budget["value"] > 0 and budget["predicted"] is False
    assert report["tickets"][0]["predicted_ms"] < report["dense"]["latency_ms"]["p50"]
    # The dense network is the checkpoint, not trained again, and it was the teacher.
    assert report["dense"]["accuracy"]["validation"] == pytest.approx(tiny_task.score(own, "validation"))
    dense, ticket = Ticket.load(Path("run/state/dense/ticket")), Ticket.load(Path("run/ticket"))
    assert dense.provenance["steps"] == 0
    assert ticket.provenance["recipe"] == "distill" and ticket.provenance["teacher"]
    assert sum(ticket.architecture.widths.values()) < sum(ticket.architecture.totals.values())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_kept_module_is_an_ordinary_module(arguments: list[str]) -> None:
    ticket = Ticket.load(Path("run/ticket"))
    network = ticket.module().body
    widths = ticket.architecture.widths
    assert type(network).__name__ == "Net" and network.mid.out_channels == widths["mid"]
    assert network.stem[1].num_features == network.conv2.out_channels
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    again = ticket.module().body
    again.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    x = torch.randn(2, 1, 12, 12)
    torch.testing.assert_close(again(x), network(x))
    torch.onnx.export(network, (x,), io.BytesIO(), dynamo=False)


@pytest.fixture
def examples(tiny_task: Task) -> Callable[[str], TensorDataset]:
    """Images and labels as a user's own data sets."""

    def of(split: str) -> TensorDataset:
        if split == "train":
            batches = [tiny_task.train_batch(step) for step in range(tiny_task.steps_per_epoch)]
        else:
            batches = list(getattr(tiny_task, f"{split}_batches")())
        return TensorDataset(*(torch.cat([batch[part] for batch in batches]) for part in range(2)))

    return of


def _accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return 100 * (outputs.argmax(1) == targets).float().mean()


def test_the_same_in_python(
    own: nn.Module,
    arguments: list[str],
    examples: Callable[[str], TensorDataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    space = hw.SearchSpace.from_module(own, torch.zeros(1, 1, 12, 12), keep=["mid"])
    # What is left alone reads the stem, which therefore stays as well.
    assert set(space.units) == {"conv1"} and {"mid", "stem.0"} <= set(space.unprunable)
    table = {"table": "table", "allow_other_fingerprint": True}
    answer = hw.profile(space, device="cpu", budgets={"macs": "75%"}, alignment=8, **table)
    assert answer["min_ms"] < answer["dense_ms"] and answer["budgets"][0]["feasible"]
    assert "unprunable" in str(answer) and "costliest" in str(answer)
    coarse = hw.profile(space, device="cpu", alignment=16, **table)
    assert answer["configurations"] > coarse["configurations"]
    task = hw.Task(
        DataLoader(examples("train"), 20, shuffle=True),
        examples("validation"),
        nn.functional.cross_entropy,
        _accuracy,
        metric="accuracy",
        metric_unit="%",
    )
    way = {"pipeline": "post-training", "importance": "magnitude-group", "trials": 3, "baseline": False}
    settings: dict[str, Any] = {**QUICK, **table, **way}
    found = hw.search(
        space, task, budgets={"macs": "75%"}, output_dir=tmp_path / "run", quiet=True, **settings
    )
    assert found.measured and found.kept and found.latency_ms > 0 and 0 <= found.accuracy <= 100
    accuracy = found.report["tickets"][0]["accuracy"]
    assert accuracy["test"] is None and accuracy["validation"] == found.accuracy
    given, _ = read_tensors(found.path / "state" / "given.safetensors", "weights")
    assert all(torch.equal(tensor, given[name]) for name, tensor in own.state_dict().items())
    network = found.module()
    assert type(network) is type(own) and network.mid.out_channels == 64 and network.conv2.in_channels <= 32
    bundle = hw.export(found, tmp_path / "bundle", device="cpu")
    assert hw.benchmark(bundle, runs=20)["latency_ms"]["p50"] > 0

    # Another process holds no such module.
    monkeypatch.setattr(live, "_MODULES", {})
    with pytest.raises(
        HwticketsError, match=r"Net-\w+ lived in another Python process.*Ticket.module\(build="
    ):
        found.ticket.module()
    rebuilt = hw.Ticket.load(found.path / "ticket").module(build=lambda: load_module(REFERENCE, {}))
    x = torch.randn(2, 1, 12, 12)
    torch.testing.assert_close(rebuilt(x), network(x))


def test_a_ticket_that_is_not_trained_gives_what_its_network_gave(
    own: nn.Module, arguments: list[str], examples: Callable[[str], TensorDataset], tmp_path: Path
) -> None:
    space, loss = hw.SearchSpace.from_module(own, torch.zeros(1, 1, 12, 12)), nn.functional.cross_entropy
    parts = {"train": examples("train"), "validation": examples("validation")}
    task = hw.Task(**parts, loss=loss, score=_accuracy, metric="accuracy", metric_unit="%")
    way = {"pipeline": "post-training", "recipe": "none", "trials": 0, "baseline": False, **QUICK}
    x, table = examples("validation").tensors[0], {"table": "table", "allow_other_fingerprint": True}
    gaps = []
    for fitted in (False, True):
        folder = tmp_path / str(fitted)
        found = hw.search(
            space,
            task,
            budgets={"macs": "50%"},
            output_dir=folder,
            quiet=True,
            reconstruct=fitted,
            **way,
            **table,
        )
        with torch.no_grad():
            gaps.append(float((found.module()(x) - own(x)).square().mean()))
        # Its page must not speak of a score before a training that there was not.
        assert found.report["tickets"][0]["accuracy"]["before_finetune"] is None
    assert gaps[1] < 0.5 * gaps[0]


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--keep", "conv1", "--keep", "stem.0", "--macs", "5%"], 3, "what costs most of it is conv1"),
        (
            ["--set", "width=4", "--keep", "stem.0", "--keep", "conv1", "--macs", "50%"],
            3,
            "can be narrowed in steps of 8 channels; ask for smaller ones in the file of --config",
        ),
        (["--set", "num_classes=7", "--macs", "50%"], 2, "gives 7 outputs, the task has 10"),
        (["--keep", "conv3", "--macs", "50%"], 2, "unknown module to keep 'conv3'"),
        (["--supernet", "mobile", "--macs", "50%"], 2, "--module and --supernet mobile are two networks"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str], more: list[str], code: int, said: str, failure: Callable[..., str], tmp_path: Path
) -> None:
    assert said in failure(code, "search", *arguments, *more, "--output-dir", tmp_path / "run")
