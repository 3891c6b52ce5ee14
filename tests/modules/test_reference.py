from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.modules.live import provided, register
from hwtickets.modules.reference import load_module, load_weights
from tests.modules.timm_networks import timm

NETWORKS = """
from torch import nn

def build(width=4):
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))

def listed():
    return [nn.ReLU()]

def broken(width):
    raise ValueError(f"no {width}")

instance = build()
"""


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Python module in the current folder, by a name of its own in every test."""
    name = "networks_" + re.sub(r"\W", "_", tmp_path.name)
    (tmp_path / f"{name}.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_function_of_the_current_folder_builds_the_module(networks: str) -> None:
    built = load_module(f"{networks}:build", {"width": 6})
    assert isinstance(built, nn.Sequential) and built[0].out_channels == 6


@pytest.mark.parametrize(
    ("reference", "arguments", "said"),
    [
        ("build", {}, "is not PACKAGE.MODULE:FUNCTION"),
        ("no.such.place:build", {}, "there is no Python module no in "),
        ("{0}:biuld", {}, "has no 'biuld'; did you mean 'build'?"),
        ("{0}:instance", {}, "'instance' is a Sequential, not a function or class"),
        ("{0}:listed", {}, "it returned list, not a torch.nn.Module"),
        ("{0}:build", {"depth": 3}, "building it with (depth=3) failed: TypeError: "),
        ("{0}:broken", {"width": 7}, r"failed: ValueError: no 7 (networks_"),
    ],
)
def test_a_wrong_reference_is_one_line(
    networks: str, reference: str, arguments: dict[str, int], said: str
) -> None:
    with pytest.raises(UsageError) as raised:
        load_module(reference.format(networks), arguments)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_a_module_whose_own_import_fails_says_where(networks: str, tmp_path: Path) -> None:
    (tmp_path / f"{networks}_more.py").write_text("\n\nimport no_such_library\n")
    with pytest.raises(
        UsageError, match=rf"No module named 'no_such_library' \({networks}_more.py, line 3\)"
    ):
        load_module(f"{networks}_more:build", {})


def test_models_of_timm() -> None:
    timm()
    built = load_module("timm:resnet18", {"num_classes": 7, "in_chans": 1})
    assert built.fc.out_features == 7
    with pytest.raises(UsageError, match="timm has no such model; did you mean 'resnet18'"):
        load_module("timm:resnt18", {})


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(UsageError, match=r"pip install 'hwtickets\[timm\]'"):
        load_module("timm:resnet18", {})


def _net(width: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))


def _tensors(path: Path, module: nn.Module) -> None:
    save_file(module.state_dict(), path)


def _state_dict(path: Path, module: nn.Module) -> None:
    torch.save(module.state_dict(), path)


def _of_a_script(path: Path, module: nn.Module) -> None:
    weights = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": weights, "optimizer": {"lr": 0.1}}, path)


def _compiled(path: Path, module: nn.Module) -> None:
    _state_dict(path, torch.compile(module))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("w.safetensors", _tensors),
        ("w.pt", _state_dict),
        ("w.pth", _of_a_script),
        ("c.pt", _compiled),
    ],
)
def test_checkpoints(name: str, save: Callable[[Path, nn.Module], None], tmp_path: Path) -> None:
    trained, fresh = _net(), _net()
    save(tmp_path / name, trained)
    load_weights(fresh, tmp_path / name)
    assert all(torch.equal(tensor, fresh.state_dict()[key]) for key, tensor in trained.state_dict().items())


def test_a_checkpoint_of_another_network_names_the_difference(tmp_path: Path) -> None:
    _tensors(tmp_path / "wide.safetensors", _net(6))
    with pytest.raises(HwticketsError, match=r"of another network: .* is 6.* there and 4.* here"):
        load_weights(_net(), tmp_path / "wide.safetensors")
    _tensors(tmp_path / "short.safetensors", nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Linear(2, 2)))
    with pytest.raises(
        HwticketsError, match=r"it lacks '1.weight' and 3 more; the network has no '2.bias' and"
    ):
        load_weights(_net(), tmp_path / "short.safetensors")


@pytest.mark.parametrize("spoilt", [float("nan"), float("inf")])
def test_a_checkpoint_that_ran_away_names_the_tensor(tmp_path: Path, spoilt: float) -> None:
    ran_away = _net()
    with torch.no_grad():
        next(ran_away.parameters()).view(-1)[3] = spoilt
    _tensors(tmp_path / "w.safetensors", ran_away)
    with pytest.raises(HwticketsError, match=r"holds NaN or infinity in '0\.weight': its training ran away"):
        load_weights(_net(), tmp_path / "w.safetensors")


def test_a_buffer_may_hold_infinities(tmp_path: Path) -> None:
    masked, fresh = _net(), _net()
    for net in (masked, fresh):
        net.register_buffer("mask", torch.full((2, 2), float("-inf")).triu(1))
    _tensors(tmp_path / "w.safetensors", masked)
    load_weights(fresh, tmp_path / "w.safetensors")
    assert torch.equal(fresh.state_dict()["mask"], masked.state_dict()["mask"])


def test_a_checkpoint_of_pickled_objects_is_refused(tmp_path: Path) -> None:
    torch.save(_net(), tmp_path / "whole.pt")
    with pytest.raises(HwticketsError, match="holds more than tensors"):
        load_weights(_net(), tmp_path / "whole.pt")
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(HwticketsError, match="not a state dict"):
        load_weights(_net(), tmp_path / "list.pt")
    with pytest.raises(HwticketsError, match="there is no checkpoint at"):
        load_weights(_net(), tmp_path / "none.pt")


def test_a_live_module_is_known_by_its_structure_and_copied() -> None:
    module = _net()
    reference = register(module)
    assert reference == register(_net()) != register(_net(5))
    register(module)
    copied = load_module(reference, {})
    assert copied is not module and torch.equal(copied[0].weight, module[0].weight)


def test_a_live_module_of_another_process_can_be_provided() -> None:
    with pytest.raises(
        HwticketsError, match=r"Sequential-1234 lived in another .* Ticket.module\(build=...\)"
    ):
        load_module("live:Sequential-1234", {})
    with provided("live:Sequential-1234", _net):
        assert load_module("live:Sequential-1234", {})[0].out_channels == 4
    with pytest.raises(HwticketsError, match="lived in another"):
        load_module("live:Sequential-1234", {})
