"""What a script does with a ticket of its own network on its own task, also when it is started anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import hwtickets as hw
from hwtickets.cli.main import run as command
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tasks import custom
from tests.toy_boards import known_board, save_board_table

BOARD = "board-of-the-doors"


class Bars(nn.Module):
    """Two layers and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        self.mid, self.head = nn.Conv2d(16, 16, 3, padding=1), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.mid(torch.relu(self.norm(self.stem(x))))).mean((2, 3)))


def examples(count: int, classes: int, seed: int) -> TensorDataset:
    """Noise with a bright bar in one of so many places."""
    random = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, classes, (count,), generator=random)
    images = 0.2 * torch.randn(count, 1, 12, 12, generator=random)
    for image, place in zip(images, targets.tolist(), strict=True):
        image[0, 2 * place : 2 * place + 2] += 1
    return TensorDataset(images, targets)


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return 100 * (outputs.argmax(1) == targets).float().mean()


def bars(places: int = 4, **more: Any) -> Any:
    """The user's task."""
    parts = {"train": examples(48, places, 0), "validation": examples(16, places, 1)}
    given = {**parts, "loss": nn.functional.cross_entropy, "score": accuracy, **more}
    return hw.Task(**given, metric="accuracy", metric_unit="%")


@pytest.fixture(scope="module")
def space() -> Any:
    torch.manual_seed(0)
    return hw.SearchSpace.from_module(Bars().eval(), torch.zeros(1, 1, 12, 12))


@pytest.fixture(scope="module")
def board(space: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A device that only a table describes: nothing is timed."""
    folder = tmp_path_factory.mktemp("board")
    networks = [{name: width for name in space.units} for width in (4, 8, 12, 16)]
    save_board_table(BOARD, space, networks, 4, folder)
    with known_board(BOARD):
        yield folder


@pytest.fixture(scope="module")
def found(space: Any, board: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A search on the user's task."""
    return hw.search(
        space,
        bars(),
        BOARD,
        {"latency": "80%"},
        tmp_path_factory.mktemp("doors") / "run",
        quiet=True,
        table=str(board),
        **{"alignment": 4, "batch_size": 16, "epochs": 2, "pipeline": "post-training", "recipe": "finetune"},
        trials=3,
        baseline=False,
    )


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a script that is started again: nobody has said yet what the task is."""
    monkeypatch.setattr(custom, "_TASKS", {})


def test_a_search_says_whose_network_it_is(found: Any) -> None:
    assert found.report["title"] == f"Bars on {BOARD}: 80%" and not found.measured
    assert found.report["tickets"][0]["accuracy"]["validation"] == found.accuracy
    page = (found.path / "report" / "report.html").read_text()
    assert "own task and data" in page and "custom on" not in page


def test_a_profile_prints_as_the_command_line_shows_it(space: Any, board: Path) -> None:
    asked = {"table": str(board), "alignment": 4}
    shown = str(hw.profile(space, BOARD, {"latency": "80%"}, **asked)).splitlines()
    assert any(line.startswith("latency budget 80% (at most ") and "can be kept" in line for line in shown)
    assert any(line.startswith("  mid: ") and " predicted, " in line for line in shown)
    assert "budget" not in str(hw.profile(space, BOARD, **asked))


@pytest.mark.usefixtures("anew")
def test_a_later_draw_takes_the_task(found: Any) -> None:
    smaller = hw.draw(found, {"latency": "60%"}, task=bars(), finetune_epochs=1, quiet=True)
    assert smaller.latency_ms < found.latency_ms and smaller.kept and not smaller.measured
    assert smaller.path.is_relative_to(found.path) and 0 <= smaller.accuracy <= 100
    network = smaller.module()
    assert type(network) is Bars and network.mid.in_channels == network.stem.out_channels < 16
    assert (hw.export(smaller, smaller.path / "again", device="cpu") / "model.onnx").exists()


@pytest.mark.usefixtures("anew")
def test_retraining_takes_the_task(found: Any, tmp_path: Path) -> None:
    answer = hw.retrain(found, "finetune", 1, task=bars(), output_dir=tmp_path / "new", quiet=True)
    assert answer["steps"] == 3 and "validation" in str(answer) and "not measured" not in str(answer)
    old, new = found.ticket, Ticket.load(tmp_path / "new")
    assert new.architecture == old.architecture and new.task == old.task
    assert not torch.equal(new.weights["body.mid.weight"], old.weights["body.mid.weight"])


@pytest.mark.usefixtures("anew")
def test_eight_bits_look_at_the_task(found: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not hold.*hwtickets\.export\(ticket"):
        hw.export(found, tmp_path / "none", precision="int8")
    bundle = hw.export(found, tmp_path / "int8", precision="int8", task=bars(), max_drop=100)
    answer = hw.verify(bundle, images=8, ticket=found, task=bars())
    assert answer["precision"] == "int8" and 0 <= answer["score_of_pytorch"] <= 100


@pytest.mark.usefixtures("anew")
def test_a_bundle_is_judged_by_the_task_that_is_given(found: Any) -> None:
    answer = hw.verify(found.path / "bundle", task=bars(score=lambda outputs, targets: 42.0))
    assert answer["score_on_samples"] == answer["score_of_pytorch"] == 42.0


def test_a_ticket_learns_other_classes(found: Any, tmp_path: Path) -> None:
    other = bars(3, classes=["top", "middle", "bottom"])
    answer = hw.transfer(found, other, epochs=2, freeze="trunk", output_dir=tmp_path / "new", quiet=True)
    ticket = Ticket.load(tmp_path / "new")
    assert answer["new_units"] == [] and ticket.task["classes"] == ["top", "middle", "bottom"]
    network = ticket.module().body
    assert network.head.out_features == len(network.head.weight) == 3
    assert network.head.in_features == network.mid.out_channels == found.module().mid.out_channels
    assert torch.equal(network.mid.weight, found.module().mid.weight)
    again = hw.retrain(tmp_path / "new", epochs=1, output_dir=tmp_path / "again", quiet=True)
    assert again["ticket"] != answer["ticket"]


@pytest.mark.usefixtures("anew")
def test_the_command_line_says_where_such_a_task_lives(
    found: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    new = ["--output-dir", str(tmp_path / "new")]
    verbs = (["draw", str(found.path), "--latency", "60%"], ["retrain", str(found.path / "ticket"), *new])
    for arguments in verbs:
        assert command(arguments) == 2
        (line,) = [one for one in capsys.readouterr().err.splitlines() if not one.startswith("[")]
        assert line.startswith("error: task custom is a Python object") and "hwtickets.draw(" in line
        assert "hwtickets.retrain(ticket, task=task)" in line


def test_what_does_not_go_together_is_one_line(
    found: Any, space: Any, board: Path, tmp_path: Path, task_ticket: Path
) -> None:
    with pytest.raises(UsageError, match="does not name its classes"):
        hw.transfer(found, bars(3), output_dir=tmp_path)
    with pytest.raises(UsageError, match="no data is given for task classification"):
        hw.transfer(found, "classification", output_dir=tmp_path)
    with pytest.raises(UsageError, match="was made on task classification, which finds its data itself"):
        hw.retrain(task_ticket, task=bars(), output_dir=tmp_path / "new")


@pytest.fixture
def task_ticket(found: Any, tmp_path: Path) -> Path:
    """A ticket of a built-in task."""
    ticket = found.ticket
    task = {**ticket.task, "name": "classification", "data": "fashion-mnist-small"}
    Ticket(ticket.architecture, ticket.weights, task, {}).save(tmp_path / "ticket")
    return tmp_path / "ticket"


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"score": lambda o, t: float("nan")}, "the score on validation is nan"),
        (
            {"score": lambda o, t: o.no_such},
            r"the score on validation failed \(AttributeError: 'Tensor' object has no",
        ),
        (
            {"loss": lambda o, t: nn.functional.mse_loss(o, t)},
            r"its loss failed on two examples .* \(2, 4\)",
        ),
        ({"train": [torch.zeros(1, 12, 12)] * 20}, r"train data yields a tensor .* expected a pair"),
        ({"train": [(torch.zeros(12), 1)] * 20}, r"expected ones like .* \(2, 12\)"),
        ({"train": examples(20, 5, 0)}, r"the loss failed \(\w+: Target 4 is out of bounds.* type int64"),
        ({"validation": []}, "the validation data is empty"),
        ({"train": [(torch.full((1, 12, 12), torch.nan), 1)] * 20}, "yields inputs that are not finite"),
        ({"train": [(torch.zeros(1, 8, 8), 1)] * 20}, r"\(1, 8, 8\), the space was made for \(1, 12, 12\)"),
    ],
)
def test_a_task_that_is_none_is_one_line(
    wrong: dict[str, Any], said: str, space: Any, board: Path, tmp_path: Path
) -> None:
    settings = {"table": str(board), "alignment": 4, "batch_size": 16, "epochs": 0.5, "baseline": False}
    with pytest.raises(HwticketsError, match=said) as raised:
        hw.search(space, bars(**wrong), BOARD, {"latency": "80%"}, tmp_path / "run", quiet=True, **settings)
    assert "\n" not in str(raised.value)


def test_a_frozen_network_is_one_line(board: Path, tmp_path: Path) -> None:
    space = hw.SearchSpace.from_module(Bars().requires_grad_(False), torch.zeros(1, 1, 12, 12))
    with pytest.raises(UsageError, match="all weights of the network are frozen") as raised:
        hw.search(space, bars(), BOARD, {"latency": "80%"}, tmp_path / "run", table=str(board), quiet=True)
    assert "requires_grad_(True)" in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("pipeline", ["two-in-one", "post-training"])
def test_frozen_layers_lose_channels_but_learn_nothing(board: Path, tmp_path: Path, pipeline: str) -> None:
    torch.manual_seed(0)
    model = Bars().eval()
    for name in ("stem", "norm"):
        model.get_submodule(name).requires_grad_(False)
    space = hw.SearchSpace.from_module(model, torch.zeros(1, 1, 12, 12))
    settings = {"alignment": 4, "batch_size": 16, "epochs": 2, "pipeline": pipeline, "recipe": "finetune"}
    settings |= {"table": str(board), "trials": 3 if pipeline == "post-training" else None}
    run = tmp_path / "run"
    hw.search(space, bars(), BOARD, {"latency": "55%"}, run, quiet=True, baseline=False, **settings)
    drawn = hw.draw(run, {"latency": "40%"}, finetune_epochs=1, quiet=True)
    ticket = drawn.module()
    assert len(ticket.stem.weight) < 16
    left = [(row == model.stem.weight).flatten(1).all(1).nonzero().item() for row in ticket.stem.weight]
    for name, tensor in model.norm.state_dict().items():
        assert name == "num_batches_tracked" or torch.equal(ticket.norm.state_dict()[name], tensor[left])
    learning = {name for name, tensor in ticket.named_parameters() if tensor.requires_grad}
    assert learning == {"mid.weight", "mid.bias", "head.weight", "head.bias"}


def test_the_layer_that_spoils_the_outputs_is_named(board: Path, tmp_path: Path) -> None:
    model = Bars().eval()
    with torch.no_grad():
        model.mid.weight[0] = torch.nan
    space = hw.SearchSpace.from_module(model, torch.zeros(1, 1, 12, 12))
    with pytest.raises(UsageError, match=r"two examples is nan \(outputs are not finite from mid on, whose"):
        hw.search(space, bars(), BOARD, {"latency": "80%"}, tmp_path / "run", table=str(board), quiet=True)
