from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hwtickets.errors import HwticketsError
from hwtickets.space.slicing import resize
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.ticket import Architecture, Ticket, ticket_hash
from hwtickets.supernets import Supernet

WIDTHS = {"blocks.0.k3": 8, "blocks.0.k5": 0, "blocks.1.k3": 0, "blocks.1.k5": 24}


@pytest.fixture
def drawn(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace, tiny_sizes: dict[str, Any]
) -> tuple[Supernet, Ticket]:
    model = tiny_model(shaken=True)
    resize(model, tiny_space.units.values(), WIDTHS)
    forms = {"blocks.0": "split", "blocks.1": "merged"}
    architecture = Architecture("mobile", tiny_sizes, (1, 12, 12), 10, WIDTHS, tiny_space.dense(), forms)
    task = {"name": "classification", "classes": ["a", "b"]}
    return model.eval(), Ticket(
        architecture, model.state_dict(), task, {"seed": 3, "budgets": {"macs": "50%"}}
    )


def _error(action: Callable[[], object], place: Path | str) -> str:
    with pytest.raises(HwticketsError) as caught:
        action()
    assert str(place) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@torch.no_grad()
def test_a_ticket_comes_back_as_it_was(drawn: tuple[Supernet, Ticket], tmp_path: Path) -> None:
    model, ticket = drawn
    identity = ticket.save(tmp_path / "deep" / "ticket")
    loaded = Ticket.load(tmp_path / "deep" / "ticket")
    assert (loaded.architecture, loaded.task, loaded.provenance) == (
        ticket.architecture,
        ticket.task,
        ticket.provenance,
    )
    module = loaded.module()
    x = torch.randn(3, 1, 12, 12)
    assert not module.training
    assert torch.equal(module(x), model(x))
    assert identity == ticket_hash(tmp_path / "deep" / "ticket") == loaded.save(tmp_path / "again")
    files = {file.name for file in (tmp_path / "again").iterdir()}
    assert files == {"ticket.json", "weights.safetensors"}


def test_the_hash_follows_the_weights_and_the_provenance(
    drawn: tuple[Supernet, Ticket], tmp_path: Path
) -> None:
    _, ticket = drawn
    changed = {**ticket.weights, "classifier.bias": ticket.weights["classifier.bias"] + 1}
    hashes = {
        ticket.save(tmp_path / "a"),
        replace(ticket, weights=changed).save(tmp_path / "b"),
        replace(ticket, provenance={"seed": 4}).save(tmp_path / "c"),
    }
    assert len(hashes) == 3


def test_a_missing_ticket_is_one_line(tmp_path: Path) -> None:
    _error(lambda: Ticket.load(tmp_path / "none"), tmp_path / "none" / "ticket.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"schema": 1}', "\ufffd\x00"])
def test_a_corrupted_description_is_one_line(
    drawn: tuple[Supernet, Ticket], tmp_path: Path, text: str
) -> None:
    drawn[1].save(tmp_path)
    (tmp_path / "ticket.json").write_text(text)
    _error(lambda: Ticket.load(tmp_path), tmp_path / "ticket.json")


@pytest.mark.parametrize("key", ["architecture", "task", "provenance", "weights_sha256", "schema"])
def test_an_altered_description_is_refused(drawn: tuple[Supernet, Ticket], tmp_path: Path, key: str) -> None:
    drawn[1].save(tmp_path)
    path = tmp_path / "ticket.json"
    record = json.loads(path.read_text())
    record[key] = {**record[key], "classes": 99} if isinstance(record[key], dict) else "2"
    path.write_text(json.dumps(record))
    assert "corrupted" in _error(lambda: Ticket.load(tmp_path), path)


def test_altered_weights_are_refused(drawn: tuple[Supernet, Ticket], tmp_path: Path) -> None:
    drawn[1].save(tmp_path)
    path = tmp_path / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert "not those of the ticket" in _error(lambda: Ticket.load(tmp_path), path)
    path.write_bytes(bytes(data[: len(data) // 2]))
    _error(lambda: Ticket.load(tmp_path), path)
    path.unlink()
    _error(lambda: Ticket.load(tmp_path), path)


class _Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_is_never_opened(drawn: tuple[Supernet, Ticket], tmp_path: Path) -> None:
    drawn[1].save(tmp_path / "ticket")
    weights = tmp_path / "ticket" / "weights.safetensors"
    for write in (
        lambda value: weights.write_bytes(pickle.dumps(value)),
        lambda value: torch.save(value, weights),
    ):
        write(_Payload(tmp_path / "executed"))
        _error(lambda: Ticket.load(tmp_path / "ticket"), weights)
    assert not (tmp_path / "executed").exists()


def test_weights_of_another_network_are_one_line(drawn: tuple[Supernet, Ticket]) -> None:
    _, ticket = drawn
    fewer = {name: tensor for name, tensor in ticket.weights.items() if name != "classifier.bias"}
    _error(replace(ticket, weights=fewer).module, "classifier.bias")
    wider = {**ticket.weights, "classifier.bias": torch.zeros(11)}
    _error(replace(ticket, weights=wider).module, "do not fit")
    elsewhere = replace(ticket.architecture, widths={**WIDTHS, "blocks.9.k3": 8})
    _error(replace(ticket, architecture=elsewhere).module, "units are not those")
