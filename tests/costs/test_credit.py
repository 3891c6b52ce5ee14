from __future__ import annotations

import pytest

from hwtickets.costs.credit import credit_note, credits_latency
from hwtickets.devices import DeviceProfile, list_devices

_SPARSE = DeviceProfile(name="orin", description="a board", sparse_patterns=("2:4",))
_DENSE = DeviceProfile(name="pi", description="a board")


def test_no_device_that_ships_is_credited_with_masks() -> None:
    devices = list_devices()
    assert len(devices) > 1 and not any(device.sparse_patterns for device in devices)
    assert not any(credits_latency("2:4", device) for device in devices)


def test_channels_are_priced_everywhere() -> None:
    assert credits_latency("channel", _DENSE)


@pytest.mark.parametrize("pattern", ["unstructured", "2:4", "block-4x4"])
def test_masks_are_not_credited_where_nothing_was_measured(pattern: str) -> None:
    note = credit_note(pattern, 0.47, _DENSE)
    assert note.startswith(f"Masks ({pattern}, 47 % of the convolutions' weights): no latency credited on pi")


def test_a_pattern_that_a_device_runs_faster_gains_in_measurements_only() -> None:
    note = credit_note("2:4", 0.5, _SPARSE)
    assert "orin runs this pattern faster; prices are those of dense operators" in note
    assert "no latency credited on orin" in credit_note("unstructured", 0.9, _SPARSE)
