"""YAML or JSON of two levels: keys with named values, each with the line that it is in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from hwtickets.errors import HwticketsError
from hwtickets.tables.importers.sources import Source

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Events = Iterator[yaml.Event]


@dataclass(frozen=True)
class Entry:
    """One key.

    Attributes:
        key: The key.
        line: Where it is; None where that is not known.
        values: Its values by name: numbers, and texts where there is none.
    """

    key: str
    line: int | None
    values: dict[str, Any]


def read_entries(source: Source) -> list[Entry]:
    """All keys in their order.

    A YAML loader would build aliases, which a few lines can blow up to gigabytes, and take the last of two
    equal keys without a word; here both are errors, as is everything that needs more than two levels.

    Raises:
        HwticketsError: The file is anything else, with the line.
    """
    if source.data.lstrip()[:1] == b"{":
        return _from_json(source)
    try:
        return _from_yaml(source, yaml.parse(source.text(), Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or error
        raise source.fault(f"it is not YAML ({reason})", mark.line + 1 if mark else None) from error


def _from_json(source: Source) -> list[Entry]:
    content = source.json()
    lines = {
        key: number
        for number, text in enumerate(source.text().splitlines(), 1)
        for key in re.findall(r'"([^"]*)"\s*:', text)
    }
    for key, values in content.items():
        if not isinstance(values, dict):
            raise source.fault(f"'{key:.100}' has no named values", lines.get(key))
    return [Entry(key, lines.get(key), values) for key, values in content.items()]


def _from_yaml(source: Source, events: _Events) -> list[Entry]:
    _expect(source, events, yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.MappingStartEvent)
    entries = [Entry(key, line, values) for key, line, values in _mapping(source, events, _named_values)]
    _expect(source, events, yaml.DocumentEndEvent, yaml.StreamEndEvent)
    return entries


def _mapping(
    source: Source, events: _Events, value: Callable[[Source, _Events], Any]
) -> Iterator[tuple[str, int | None, Any]]:
    """Key, line and value of everything in the mapping that has just begun."""
    seen: set[str] = set()
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key, line = _text(source, event), _line(event)
        if key in seen:
            raise source.fault(f"'{key:.100}' is there twice", line)
        seen.add(key)
        yield key, line, value(source, events)


def _named_values(source: Source, events: _Events) -> dict[str, Any]:
    _expect(source, events, yaml.MappingStartEvent)
    return {name: value for name, _, value in _mapping(source, events, _value)}


def _value(source: Source, events: _Events) -> Any:
    text = _text(source, next(events))
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _expect(source: Source, events: _Events, *kinds: type[yaml.Event]) -> None:
    for kind in kinds:
        event = next(events)
        if not isinstance(event, kind) or getattr(event, "anchor", None) is not None:
            raise _foreign(source, event)


def _text(source: Source, event: yaml.Event) -> str:
    if not isinstance(event, yaml.ScalarEvent) or event.anchor is not None:
        raise _foreign(source, event)
    return str(event.value)


def _foreign(source: Source, event: yaml.Event) -> HwticketsError:
    return source.fault("it is not a list of keys with named values", _line(event))


def _line(event: yaml.Event) -> int | None:
    return event.start_mark.line + 1 if event.start_mark else None
