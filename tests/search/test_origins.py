from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.errors import HwticketsError
from hwtickets.search.origins import Origins, as_text, from_text, narrowed
from hwtickets.space.slicing import keep_channels, present_widths
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import Supernet
from tests.modules.residual_networks import Blocks
from tests.modules.small_networks import hosted

NUMBERS = st.sets(st.integers(0, 300), min_size=1).map(sorted)


@given(channels=st.dictionaries(st.text("abc.", min_size=1), NUMBERS))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_channels_survive_being_written_as_text(channels: dict[str, list[int]]) -> None:
    texts = as_text({name: torch.tensor(numbers) for name, numbers in channels.items()})
    assert {name: numbers.tolist() for name, numbers in from_text(texts).items()} == channels


def test_runs_of_channels_are_short() -> None:
    assert as_text({"a": torch.tensor([0, 1, 2, 7, 9, 10])}) == {"a": "0-2,7,9-10"}
    with pytest.raises(HwticketsError, match="no channels of unit a"):
        from_text({"a": "0-x"})


def test_two_cuts_leave_the_numbers_that_the_supernet_gave(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace
) -> None:
    """The channels are marked in the weights themselves; the numbers must say the same."""
    model, units = tiny_model(), tiny_space.units
    with torch.no_grad():
        for unit in units.values():
            scale = model.get_parameter(f"{unit.importance}.weight")
            scale.copy_(torch.arange(len(scale)))
    origins = Origins(units.values())
    generator = torch.Generator().manual_seed(0)
    first, *_, last = units
    for _ in range(2):
        widths = {name: len(numbers) for name, numbers in origins.channels().items()}
        kept = {
            name: torch.randperm(width, generator=generator)[: width - 3].sort().values
            for name, width in widths.items()
        }
        keep_channels(model, units.values(), kept)
        origins.cut(kept, present_widths(model, units.values()))
    for name, numbers in origins.channels().items():
        assert numbers.tolist() == model.get_parameter(f"{units[name].importance}.weight").tolist()
    keep_channels(model, units.values(), none := {first: torch.empty(0, dtype=torch.long)})
    origins.cut(none, present_widths(model, units.values()))
    assert first not in origins.channels() and last in origins.channels()


def test_a_branch_takes_the_numbers_of_all_of_its_units_along() -> None:
    model, space = hosted(Blocks)
    origins = Origins(space.units.values())
    keep_channels(model, space.units.values(), gone := {space.branches["third"][0]: torch.arange(0)})
    origins.cut(gone, present_widths(model, space.units.values()))
    assert set(origins.channels()) == set(space.units) - set(space.branches["third"])


def test_a_unit_without_channels_has_no_origins() -> None:
    channels = {"a": torch.tensor([3, 5, 8]), "b": torch.tensor([1])}
    rest = narrowed(channels, {"a": torch.tensor([0, 2]), "b": torch.tensor([], dtype=torch.long)})
    assert {name: numbers.tolist() for name, numbers in rest.items()} == {"a": [3, 8]}
