from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.loopback import Loopback, missing_reason
from hwtickets.devices import DeviceProfile
from hwtickets.runtimes.onnxruntime import Array
from hwtickets.space.operators import GraphBuilder
from hwtickets.tables.skeleton import skeleton_model
from tests.runtimes.conftest import model  # noqa: F401


@pytest.fixture(scope="session")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """An ssh server on this machine, as the host "board"; a second name of it, "other", has its own cache."""
    reason = missing_reason()
    if reason:
        pytest.skip(reason)
    with Loopback(tmp_path_factory.mktemp("ssh")) as loopback:
        loopback.add("board")
        yield loopback


@pytest.fixture
def board(loopback: Loopback) -> DeviceProfile:
    """This machine behind ssh."""
    return profile("board")


@pytest.fixture(scope="session")
def trt_board(loopback: Loopback, tmp_path_factory: pytest.TempPathFactory) -> DeviceProfile:
    """A board whose trtexec is a stand-in."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "trtexec"
    source = (Path(__file__).parent / "fake_trtexec.py").read_text().partition("\n")[2]
    program.write_text(f"#!{sys.executable}\n{source}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    loopback.add("trt", {"PATH": f"{folder}:/usr/bin:/bin"})
    return profile("trt", runtime="trtexec", precisions=("fp32", "fp16"))


def profile(host: str, **values: object) -> DeviceProfile:
    """The profile of a host of the loopback fixture."""
    fields = {"description": "this machine behind ssh", "python": sys.executable, **values}
    return DeviceProfile(name=host, connection="ssh", host=host, **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def make_profile() -> Callable[..., DeviceProfile]:
    """Makes profiles of hosts."""
    return profile


@pytest.fixture(scope="session")
def large_model() -> bytes:
    """About 200 times the work of `model`, so that a request lasts long enough to be interrupted."""
    builder = GraphBuilder(16, 56, 56)
    x = builder.graph.input
    for index in range(3):
        x = builder.conv("body", f"conv{index}", x, 64, 3, activation="relu")
    return skeleton_model(builder.graph)


@pytest.fixture
def inputs() -> dict[str, Array]:
    random = np.random.default_rng(0)
    return {"x": random.standard_normal((1, 3, 8, 8)).astype(np.float32)}


@pytest.fixture
def large_inputs() -> dict[str, Array]:
    random = np.random.default_rng(0)
    return {"x": random.standard_normal((1, 16, 56, 56)).astype(np.float32)}
