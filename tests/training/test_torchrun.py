from __future__ import annotations

import pytest

from hwtickets.training.torchrun import helps, several

ONE_OF_TWO = {
    "RANK": "1",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "2",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (True, True)),
        ({"RANK": "0"}, (True, False)),
        ({"WORLD_SIZE": "1", "RANK": "0"}, (False, False)),
        ({"MASTER_PORT": None}, (False, False)),
        (dict.fromkeys(ONE_OF_TWO), (False, False)),
    ],
)
def test_only_a_whole_environment_of_torchrun_counts(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None], expected: tuple[bool, bool]
) -> None:
    """Batch systems set some of these names, too."""
    for name, value in {**ONE_OF_TWO, **changes}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert (several(), helps()) == expected
