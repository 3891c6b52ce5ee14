"""Importers: measurements that others took, in their own formats, as latency tables."""

from __future__ import annotations

from hwtickets.tables.importers.imports import FORMATS, Import, import_table
from hwtickets.tables.importers.keep import device_of, keep

__all__ = ["FORMATS", "Import", "device_of", "import_table", "keep"]
