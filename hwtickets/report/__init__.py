"""Reports: `report.json` first, then its views in HTML, Markdown and PNG."""

from __future__ import annotations

from hwtickets.report.build import ReportFiles, build_views
from hwtickets.report.merge import merge_reports

__all__ = ["ReportFiles", "build_views", "merge_reports"]
