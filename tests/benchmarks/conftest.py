"""Fixtures of other rooms that benchmarks are tried on."""

from tests.deploy.conftest import ticket_folder

__all__ = ["ticket_folder"]
