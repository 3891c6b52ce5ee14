"""torchvision beside a torch that it has no build for: its compiled operators are declared.

Networks that use none of them (all classifiers do not) run as they should; one that did would fail.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import torch

_NAMED = re.compile(r"torchvision::(\w+)|register_meta\(\"(\w+)\"\)")
#: Kept: a declaration lives as long as its library.
_LIBRARIES: list[torch.library.Library] = []


def declare_operators() -> None:
    """Declares the operators that torchvision's own files name, if it is installed; before its import."""
    found = importlib.util.find_spec("torchvision")
    if _LIBRARIES or found is None or found.origin is None:
        return
    texts = (path.read_text() for path in Path(found.origin).parent.rglob("*.py"))
    names = {one or other for text in texts for one, other in _NAMED.findall(text)}
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in sorted(names):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}() -> ()")
    _LIBRARIES.append(library)
