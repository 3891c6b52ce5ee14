from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from hwtickets.devices import get_device, open_bench
from hwtickets.errors import DeviceError
from hwtickets.progress import Progress
from hwtickets.runtimes import NoProfileError
from hwtickets.tables import build_table
from hwtickets.tables.measure import Journal, measure_networks, profile_networks
from hwtickets.tables.sampling import Space, corner_networks

_QUIET = Progress(quiet=True)


@pytest.mark.parametrize(("name", "package"), [("cpu-openvino", "openvino"), ("cpu-pytorch", "torch")])
def test_every_operator_of_a_space_is_profiled_and_its_networks_are_timed(
    space: Space, tmp_path: Path, name: str, package: str
) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    graphs, journal = corner_networks(space), Journal(tmp_path / "journal.jsonl", {})
    with open_bench(get_device(name)) as bench, _QUIET.stage("measure") as stage:
        profiles = profile_networks(graphs, bench, journal, stage)
        latencies = measure_networks(graphs, graphs[:1], bench, journal, stage)
    assert set(profiles) == {operator.spec for graph in graphs for operator in graph}
    assert all(profile.time_ms > 0 and profile.nodes >= 1 for profile in profiles.values())
    assert len(latencies.median_ms) == len(graphs) and min(latencies.median_ms) > 0


def test_no_table_is_made_where_operators_have_no_times(space: Space, tmp_path: Path) -> None:
    device = get_device("cpu-pytorch-compiled")
    try:
        build_table(space, device, tmp_path, _QUIET, networks=8)
    except NoProfileError as error:
        assert "take the same processor's PyTorch without compilation" in str(error)
    except DeviceError as error:
        pytest.skip(str(error))
    else:
        pytest.fail("a table was made")
    assert not (tmp_path / "device.yaml").exists()
