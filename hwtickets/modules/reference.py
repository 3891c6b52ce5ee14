"""Modules by reference: the text that rebuilds a user's network in any process; and checkpoints."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from hwtickets import files
from hwtickets.errors import HwticketsError, UsageError, nearest
from hwtickets.modules import live

TIMM = "timm"
#: Where training scripts put a state dict among other things.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
#: What torch.compile, and DataParallel and its kin, put in front of names.
_PREFIXES = ("_orig_mod.", "module.")


def load_module(reference: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Builds the module that a reference stands for, with the weights that its builder gives it.

    Args:
        reference: "package.mod:build", a function or class that returns the module, importable from the
            current folder or installed; "timm:resnet18", a model of timm; or what `live.register` gave.
        arguments: Keyword arguments of the builder.

    Raises:
        UsageError: There is no such module, or its builder fails; says where.
        HwticketsError: The module lived in a process that has ended.
    """
    kind, colon, name = reference.partition(":")
    if not colon or not kind or not name:
        raise UsageError(
            f"module '{reference}' is not PACKAGE.MODULE:FUNCTION or timm:NAME; write it as"
            " --module mynets.small:build"
        )
    held = live.copy_of(reference)
    if held is not None:
        return held
    built = _call(
        reference, _timm_builder(name) if kind == TIMM else _builder(reference, kind, name), arguments
    )
    if not isinstance(built, nn.Module):
        raise UsageError(f"module {reference}: it returned {type(built).__name__}, not a torch.nn.Module")
    return built


def load_weights(module: nn.Module, path: Path) -> None:
    """Loads a checkpoint into a module; every name and shape must fit.

    Args:
        module: Changed in place.
        path: A state dict: ".safetensors", or a file of `torch.save` that holds nothing but tensors.

    Raises:
        HwticketsError: The file is missing, damaged or unsafe, of another network (names the difference), or
            holds NaN.
    """
    weights = _unwrapped(_read(path), module)
    expected = module.state_dict()
    # Counters are missing in checkpoints of old versions of torch; nothing depends on them.
    missing = [name for name in expected if name not in weights and not name.endswith("num_batches_tracked")]
    surplus = [name for name in weights if name not in expected]
    if missing or surplus:
        lacks = f"it lacks {_counted(missing)}" if missing else ""
        holds = f"the network has no {_counted(surplus)}" if surplus else ""
        raise HwticketsError(
            f"checkpoint {path} is of another network: {'; '.join(part for part in (lacks, holds) if part)}"
        )
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise HwticketsError(
                f"checkpoint {path} is of another network: {name} is {_shape(tensor)} there and"
                f" {_shape(expected[name])} here"
            )
    # A buffer may hold infinities, as masks of attention do.
    parameters = dict(module.named_parameters())
    spoilt = [
        name
        for name, tensor in weights.items()
        if bool(tensor.isnan().any()) or (name in parameters and not bool(tensor.isfinite().all()))
    ]
    if spoilt:
        raise HwticketsError(
            f"checkpoint {path} holds NaN or infinity in {_counted(spoilt)}: its training ran away;"
            " take one from before"
        )
    module.load_state_dict({**expected, **weights})


def _builder(reference: str, package: str, name: str) -> Callable[..., object]:
    module = _imported(reference, package)
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            close = nearest(part, [entry for entry in dir(found) if not entry.startswith("_")])
            guess = f"; did you mean '{close}'?" if close else ""
            raise UsageError(f"module {reference}: {package} has no '{name}'{guess}")
        found = getattr(found, part)
    if not callable(found) or isinstance(found, nn.Module):
        raise UsageError(
            f"module {reference}: '{name}' is {_a(found)}, not a function or class that builds the module"
        )
    return found


def _imported(reference: str, package: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        missing = error.name or package
        if package == missing or package.startswith(f"{missing}."):
            raise UsageError(
                f"module {reference}: there is no Python module {missing} in {folder} or among the installed"
                " packages"
            ) from error
        raise UsageError(f"module {reference}: importing {package} failed: {_said(error)}") from error
    except Exception as error:  # Whatever the user's own code raises.
        raise UsageError(f"module {reference}: importing {package} failed: {_said(error)}") from error


def _timm_builder(name: str) -> Callable[..., object]:
    try:
        import timm
    except Exception as error:  # Its own dependencies may be missing, or not fit the version of torch.
        if isinstance(error, ModuleNotFoundError) and error.name == TIMM:
            hint = "install it with: pip install 'hwtickets[timm]'"
            raise UsageError(f"module {TIMM}:{name} needs timm; {hint}") from error
        if "torchvision::" in str(error):
            raise UsageError(
                f"module {TIMM}:{name}: torchvision, which timm imports, was built for another torch than"
                f" {torch.__version__}; install the torchvision that belongs to it"
            ) from error
        raise UsageError(f"module {TIMM}:{name}: importing timm failed: {_said(error)}") from error
    if not timm.is_model(name.partition(".")[0]):
        close = nearest(name, timm.list_models())
        raise UsageError(
            f"module {TIMM}:{name}: timm has no such model{f'; did you mean {close!r}?' if close else ''}"
        )
    return lambda **arguments: timm.create_model(name, **arguments)


def _call(reference: str, build: Callable[..., object], arguments: Mapping[str, Any]) -> object:
    try:
        return build(**arguments)
    except Exception as error:  # Whatever the user's own code raises.
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise UsageError(f"module {reference}: building it with ({given}) failed: {_said(error)}") from error


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return files.read_tensors(path, "checkpoint")[0]
    with files.reading(path, "checkpoint"):
        path.stat()
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # Unpickling raises whatever the bytes lead it to.
        raise HwticketsError(
            f"checkpoint {path} holds more than tensors, or is damaged ({type(error).__name__}); save it with"
            " torch.save(model.state_dict(), PATH) or as safetensors"
        ) from error


def _unwrapped(held: Any, module: nn.Module) -> dict[str, Tensor]:
    """The state dict in a checkpoint, without what was put around it or in front of its names."""
    wrapper = next(
        (key for key in _WRAPPERS if isinstance(held, dict) and isinstance(held.get(key), dict)), None
    )
    weights = held[wrapper] if wrapper else held
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise HwticketsError(
            "the checkpoint is not a state dict; save it with torch.save(model.state_dict(), PATH)"
        )
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in weights) and not set(weights) <= set(module.state_dict()):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return dict(weights)


def _said(error: Exception) -> str:
    """An error of the user's code in one line, with the place."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    own = [frame for frame in frames if not frame.filename.startswith("<")]
    place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place}"


def _counted(names: list[str]) -> str:
    more = len(names) - 1
    return f"'{names[0]}'" + (f" and {more} more" if more else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _a(value: object) -> str:
    return f"a {type(value).__name__}"
