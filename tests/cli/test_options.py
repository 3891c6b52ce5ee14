from __future__ import annotations

from pathlib import Path

import pytest

from hwtickets.cli.options import search_config, supernet_config
from hwtickets.errors import UsageError


def test_options_replace_the_values_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "latency: 40%\nseed: 5\nepochs: 2\nsupernet: {sizes: {expand_ratio: 2}}\n"
    )
    sizes = ["expand-ratio=6", "kernel_sizes=[3,5]"]
    config = search_config(
        tmp_path / "a.yaml", {"latency": "8ms", "macs": None}, None, sizes, seed=1, epochs=None
    )
    assert (config.budgets, config.seed, config.epochs) == ({"latency": "8ms"}, 1, 2.0)
    assert config.supernet.sizes == {"expand_ratio": 6, "kernel_sizes": [3, 5]}


def test_without_options_the_file_stands(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("latency: 40%\nprice: macs\nbaseline: false\n")
    config = search_config(tmp_path / "a.yaml", {"latency": None}, None, None, price=None, baseline=None)
    assert (config.budgets, config.price, config.baseline) == ({"latency": "40%"}, "macs", False)


def test_a_supernet_is_the_default_one_unless_named() -> None:
    assert supernet_config(None, None).name == "mobile"
    assert supernet_config("other", ["depth=2"]).sizes == {"depth": 2}
    with pytest.raises(UsageError, match="KEY=VALUE"):
        supernet_config(None, ["=3"])
