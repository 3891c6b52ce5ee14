"""Fixtures of other rooms that benchmarks are tried on."""

from tests.deploy.conftest import run_folder, ticket_folder

__all__ = ["run_folder", "ticket_folder"]
