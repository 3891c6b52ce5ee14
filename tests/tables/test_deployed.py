from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import pytest
from torch import nn

from hwtickets.devices import get_device
from hwtickets.errors import HwticketsError
from hwtickets.progress import Progress
from hwtickets.runtimes import load
from hwtickets.space.operators import GraphBuilder, OperatorGraph
from hwtickets.tables import build_table, table_folder
from hwtickets.tables.deployed import deployed_model
from hwtickets.tables.plan import Plan
from hwtickets.tables.table import LatencyTable, Row


class ChainSpace:
    """Three convolutions in a row: those in the middle have channels of two units."""

    name, coupled = "timm:chain/3", True
    input_shape = (3, 12, 12)
    units: Mapping[str, object] = {"one": None, "two": None}

    def widths_allowed(self, unit: str, alignment: int) -> list[int]:
        return list(range(alignment, 97, alignment))

    def dense(self) -> dict[str, int]:
        return {"one": 96, "two": 96}

    def forms(self) -> dict[str, list[str]]:
        return {}

    def graph(self, widths: Mapping[str, int], forms: Mapping[str, str] | None = None) -> OperatorGraph:
        builder = GraphBuilder(*self.input_shape)
        x = builder.conv("body", "0", builder.graph.input, widths["one"], 3, activation="relu")
        x = builder.conv("body", "2", x, widths["two"], 3, activation="relu")
        builder.conv("body", "4", x, 5)
        return builder.graph


class ChainModules(ChainSpace):
    """The same with its modules."""

    branches: ClassVar[dict[str, list[str]]] = {}

    def module(self, widths: Mapping[str, int]) -> nn.Module:
        one, two = widths["one"], widths["two"]
        convolutions = (nn.Conv2d(3, one, 3, padding=1), nn.Conv2d(one, two, 3, padding=1))
        return nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU(), nn.Conv2d(two, 5, 1))


class Broken(ChainModules):
    def module(self, widths: Mapping[str, int]) -> nn.Module:
        return nn.Conv2d(widths["one"], 5, 1)


def test_networks_of_a_module_are_timed_as_they_are_exported() -> None:
    space = ChainModules()
    plan = Plan(space, alignment=16, seed=0)
    assert plan.write is not None
    last = len(plan.calibration) + len(plan.check) - 1
    for place, graph in ((0, plan.calibration[0]), (last, plan.check[-1])):
        model = plan.write(place)
        weights = [
            tensor.dims[0]
            for tensor in onnx.load_from_string(model).graph.initializer
            if len(tensor.dims) == 4
        ]
        assert weights == [operator.spec.c_out for operator in graph]
        assert load(model).run(load(model).random_inputs())[0].shape == (1, 5, 12, 12)


def test_networks_without_modules_are_timed_by_their_operators() -> None:
    assert Plan(ChainSpace(), alignment=16, seed=0).write is None


def test_every_network_of_a_coupled_space_is_profiled_and_none_is_chosen_later() -> None:
    plan = Plan(ChainSpace(), alignment=16, seed=0, networks=7)
    assert len(plan.pool) == plan.most == plan.first == 8
    assert len(plan.profiled) == 8
    assert plan.sample == []


def test_a_table_of_a_coupled_space_prices_what_lies_between_its_rows(tmp_path: Path) -> None:
    space = ChainSpace()
    table = build_table(space, get_device("cpu"), tmp_path, Progress(quiet=True), networks=14)
    assert table.error["networks"] == len(Plan(space, table.alignment, 0).check)
    widths = {"one": 48, "two": 80}
    assert set(table.predict(space.graph(widths)).kinds) <= {"measured", "interpolated"}
    larger = [table.predict(space.graph({"one": width, "two": width})).ms for width in (16, 48, 96)]
    assert np.all(np.diff(larger) > 0)


def test_a_module_that_cannot_be_exported_is_named_in_one_line() -> None:
    with pytest.raises(HwticketsError, match="cannot be exported to ONNX") as failure:
        deployed_model(Broken(), Broken.input_shape, {"one": 16})
    assert "\n" not in str(failure.value)


def test_the_folder_of_a_modules_table_is_a_plain_name() -> None:
    assert table_folder(get_device("cpu"), ChainSpace()).name.startswith("timm-chain-3-")


def test_operators_that_are_only_estimated_are_named() -> None:
    space = ChainSpace()
    graph = space.graph(space.dense())
    rows = {graph.operators[0].spec: Row(0.1), graph.operators[2].spec: Row(0.2)}
    table = LatencyTable("cpu", "onnxruntime", "fp32", 1, 16, {}, rows)
    assert table.estimated(graph) == ["body/2"]
