from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from hwtickets.resources import Resource, resource_dir


@pytest.mark.parametrize("name", get_args(Resource))
def test_every_folder_that_ships_is_found_and_holds_something(name: Resource) -> None:
    assert any(resource_dir(name).iterdir())


def test_the_package_is_light_until_something_is_asked() -> None:
    heavy = "{'torch', 'numpy', 'onnx', 'onnxruntime', 'scipy', 'plotly', 'matplotlib'}"
    rooms = "errors, files, budgets, progress, config, runs, resources, cli.main"
    imports = "; ".join(f"import hwtickets.{room}" for room in rooms.split(", "))
    script = f"import sys; import hwtickets; {imports}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
