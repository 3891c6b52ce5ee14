"""Latency tables: what every operator of a search space costs on a device."""

from __future__ import annotations

from hwtickets.tables.build import build_table
from hwtickets.tables.check import TableCheck, check_table
from hwtickets.tables.listing import list_tables
from hwtickets.tables.locate import existing_table, find_table, table_folder, table_for
from hwtickets.tables.lookup import Answer
from hwtickets.tables.store import load_table, save_table
from hwtickets.tables.table import Calibration, LatencyTable, Prediction, Row

__all__ = [
    "Answer",
    "Calibration",
    "LatencyTable",
    "Prediction",
    "Row",
    "TableCheck",
    "build_table",
    "check_table",
    "existing_table",
    "find_table",
    "list_tables",
    "load_table",
    "save_table",
    "table_folder",
    "table_for",
]
