from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ModuleType:
    """A module of scripts/latency_sources, which is no part of the package."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module(f"latency_sources.{request.param}")


@pytest.mark.parametrize("source", ["nets"], indirect=True)
def test_networks_written_down_by_hand_have_the_parameters_of_torchvision(source: ModuleType) -> None:
    assert len(source.NETWORKS) == 20
    for name in source.NETWORKS:
        assert source.operators(name)
    macs = {name: sum(spec.macs for spec in source.operators(name)) for name in ("resnet18", "mobilenet_v2")}
    assert macs == {"resnet18": 1_814_073_344, "mobilenet_v2": 300_774_272}


@pytest.mark.parametrize("source", ["nets"], indirect=True)
def test_a_network_that_is_written_down_wrongly_is_refused(
    source: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, params = source.NETWORKS["resnet18"]
    monkeypatch.setitem(source.NETWORKS, "resnet18", (make, params + 1))
    with pytest.raises(ValueError, match="resnet18 has 11689512 parameters instead of 11689513"):
        source.operators("resnet18")


@pytest.mark.parametrize("source", ["nb201"], indirect=True)
def test_what_leads_nowhere_in_a_cell_is_not_run(source: ModuleType) -> None:
    dead = {
        "e01": "nor_conv_3x3",
        "e02": "none",
        "e12": "none",
        "e03": "nor_conv_1x1",
        "e13": "none",
        "e23": "avg_pool_3x3",
    }
    alive = {**dead, "e13": "skip_connect"}
    kernels = [
        [spec.kernel for spec in source.operators(cell) if spec.kind == "conv"] for cell in (dead, alive)
    ]
    reductions, stem = [3, 3, 1], [3]
    assert kernels[0] == stem + 5 * [1] + reductions + 5 * [1] + reductions + 5 * [1]
    assert sum(kernel == 3 for kernel in kernels[1]) == 1 + 15 + 4
    assert not any(spec.kind == "avgpool" and spec.stride == 1 for spec in source.operators(dead))
    adds = [sum(spec.kind == "add" for spec in source.operators(cell)) for cell in (dead, alive)]
    assert adds == [2, 2 + 15]
