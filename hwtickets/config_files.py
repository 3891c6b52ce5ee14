"""Configurations from a YAML file and the options of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hwtickets.budgets import METRICS
from hwtickets.config import LATER_KEYS, SearchConfig, SupernetConfig
from hwtickets.errors import HwticketsError, UsageError, unknown
from hwtickets.files import read_text
from hwtickets.resources import resource_dir

_Model = TypeVar("_Model", bound=BaseModel)
#: What a file may say in fewer words than the configuration has for it.
_SHORTER = (*METRICS, "module")


def load_config(file: Path | None, overrides: Mapping[str, Any]) -> SearchConfig:
    """The configuration of a search.

    Args:
        file: A YAML file, or None for the defaults. It may spell keys as the options do ("latency: 40%",
            "supernet: mobile", "batch-size: 64").
        overrides: Keys that replace those of the file; the keys of `budgets` and `supernet` one by one, and
            another supernet name drops the sizes of the file's.

    Raises:
        UsageError: A key is unknown (the nearest is named), or a value is out of range.
        HwticketsError: The file is missing or damaged.
    """
    values = {} if file is None else _spelled_out(read_yaml(file, "configuration"))
    where = "" if file is None else f" in {file}"
    return _checked(SearchConfig, _merged(values, overrides), where)


def checked_config(values: Mapping[str, Any]) -> SearchConfig:
    """The configuration of plain values; errors as in `load_config`."""
    return _checked(SearchConfig, values, "")


def recorded_config(values: Mapping[str, Any], overrides: Mapping[str, Any], file: Path) -> SearchConfig:
    """The configuration that a run folder keeps, with some keys replaced; `LATER_KEYS` may be missing.

    Raises:
        HwticketsError: A key is missing or wrong: the file was damaged or is of another version.
    """
    missing = [key for key in SearchConfig.model_fields if key not in {*values, *LATER_KEYS}]
    if missing:
        raise HwticketsError(
            f"the run configuration {file} is damaged: it lacks '{missing[0]}'; search again"
        )
    return _checked(SearchConfig, {**values, **overrides}, f" in {file}")


def module_supernet(module: Any) -> dict[str, Any]:
    """The supernet behind `module: REFERENCE`, or `module: {reference: ..., arguments: ..., keep: ...}`."""
    return {"name": "module", "sizes": dict(module) if isinstance(module, dict) else {"reference": module}}


def parse_supernet(values: Mapping[str, Any]) -> SupernetConfig:
    """The supernet's configuration from plain values; errors as in `load_config`."""
    return _checked(SupernetConfig, values, "")


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The mapping in a YAML file; missing or damaged: one line that names the file and `what` it is."""
    text = read_text(path, what)
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise HwticketsError(f"the {what} {path} is damaged: {reason}") from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise HwticketsError(f"the {what} {path} is damaged: it is not a list of 'key: value'")
    return values


def named_config(name: str) -> Path:
    """The file of a configuration that ships with hwtickets ("demo")."""
    known = {path.stem: path for path in resource_dir("configs").glob("*.yaml")}
    if name not in known:
        raise unknown("configuration", name, known)
    return known[name]


def _spelled_out(values: Mapping[str, Any]) -> dict[str, Any]:
    budgets = {metric: values[metric] for metric in METRICS if metric in values}
    spelled = {key.replace("-", "_"): value for key, value in values.items() if key not in budgets}
    if budgets:
        spelled["budgets"] = _joined(spelled.get("budgets"), budgets)
    if isinstance(spelled.get("supernet"), str):
        spelled["supernet"] = {"name": spelled["supernet"]}
    if "module" in spelled:
        spelled["supernet"] = module_supernet(spelled.pop("module"))
    return spelled


def _merged(values: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    asked = _supernet_name(overrides)
    if asked is not None and asked != (_supernet_name(values) or (SupernetConfig().name, None)):
        values = {**values, "supernet": {}}
    return {**values, **{key: _joined(values.get(key), value) for key, value in overrides.items()}}


def _joined(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: _joined(old.get(key), value) for key, value in new.items()}}


def _supernet_name(values: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """Name and, of a module, reference; None where no name is given."""
    supernet = values.get("supernet")
    if not isinstance(supernet, dict) or "name" not in supernet:
        return None
    sizes = supernet.get("sizes")
    return supernet["name"], sizes.get("reference") if isinstance(sizes, dict) else None


def _checked(model: type[_Model], values: Mapping[str, Any], where: str) -> _Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _first_fault(model, error.errors()[0], where) from error


def _first_fault(model: type[BaseModel], fault: ErrorDetails, where: str) -> UsageError:
    place = fault["loc"]
    key = ".".join(str(part) for part in place)
    if fault["type"] == "extra_forbidden":
        shorter = _SHORTER if where and len(place) == 1 else ()
        return unknown("key", key, [*_siblings(model, place), *shorter], where)
    reason = fault["msg"].removeprefix("Value error, ")
    return UsageError(f"'{key}'{where} is not right: {reason} (given: {fault['input']!r})")


def _siblings(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    if place[0] == "supernet" and len(place) > 1:
        return [f"supernet.{name}" for name in SupernetConfig.model_fields]
    return list(model.model_fields)
