from __future__ import annotations

import io
from typing import Any

import pytest

from hwtickets.config import SearchConfig
from hwtickets.config_files import load_config
from hwtickets.devices import DeviceProfile
from hwtickets.errors import UsageError
from hwtickets.progress import Progress
from hwtickets.search.job import resolved
from hwtickets.search.masking import with_pattern
from hwtickets.sparsity.patterns.automatic import pattern_for


def _device(**facts: Any) -> DeviceProfile:
    return DeviceProfile(name="board", description="a board", **facts)


@pytest.mark.parametrize(
    ("facts", "pattern"),
    [
        ({}, "channel"),
        ({"runtime": "trtexec"}, "channel"),
        ({"runtime": "trtexec", "sparse_tensor_cores": False}, "channel"),
        ({"runtime": "trtexec", "sparse_tensor_cores": True}, "2:4"),
        ({"runtime": "onnxruntime", "sparse_tensor_cores": True}, "channel"),
        ({"sparse_patterns": ("block-1x16", "2:4"), "sparse_tensor_cores": True}, "block-1x16"),
    ],
)
def test_a_device_decides_by_what_it_can_run_faster(facts: dict[str, Any], pattern: str) -> None:
    assert pattern_for(_device(**facts)) == pattern


def _chosen(device: DeviceProfile, **keys: Any) -> tuple[SearchConfig, str]:
    """The configuration on a device, and what was said of it."""
    config = load_config(None, {"budgets": {"macs": "50%"}, "mask_pattern": "auto", **keys})
    said = io.StringIO()
    return with_pattern(config, device, Progress(stream=said)), said.getvalue()


def test_the_sparsity_goes_with_the_pattern() -> None:
    orin, sparse, plain = (
        _device(runtime="trtexec", sparse_tensor_cores=True),
        _device(sparse_patterns=("block-4x4",)),
        _device(),
    )
    config, said = _chosen(orin, sparsity=0.8)
    assert (config.mask_pattern, config.sparsity) == ("2:4", 0.5)
    assert "mask_pattern auto: 2:4 on board, sparsity 0.5" in said
    config, _ = _chosen(sparse, sparsity=0.8, prune_schedule=[0.4, 0.8])
    assert (config.mask_pattern, config.sparsity) == ("block-4x4", 0.8)
    config, said = _chosen(plain, sparsity=0.8, prune_schedule=[0.4, 0.8])
    assert (config.mask_pattern, config.sparsity) == ("channel", 0.0)
    assert "channel on board, nothing is masked" in said
    config, said = _chosen(orin)
    assert (config.mask_pattern, config.sparsity, said) == ("channel", 0.0, "")


def test_what_does_not_go_with_the_choice_is_one_line() -> None:
    with pytest.raises(UsageError, match="pipeline search-then-prune is about masks, and board runs no"):
        _chosen(_device(), sparsity=0.8, pipeline="search-then-prune")
    with pytest.raises(UsageError, match="does not end at sparsity"):
        _chosen(_device(sparse_patterns=("2:4",)), sparsity=0.8, prune_schedule=[0.4, 0.8])


def test_a_run_keeps_the_choice_and_a_named_pattern_stays() -> None:
    asked = {"budgets": {"macs": "50%"}, "sparsity": 0.8, "mask_pattern": "auto"}
    quiet = Progress(quiet=True)
    kept = resolved(load_config(None, asked), quiet)
    assert (kept.mask_pattern, kept.sparsity, kept.recipe) == ("channel", 0.0, "distill")
    assert resolved(kept, quiet) == kept
    assert resolved(load_config(None, {**asked, "mask_pattern": "unstructured"}), quiet).sparsity == 0.8
