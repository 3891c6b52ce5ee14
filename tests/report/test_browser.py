"""The page in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hwtickets.report import build_views

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=5000",
    "--window-size=1280,4000",
    "--dump-dom",
]

pytestmark = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")


def open_page(page: Path, profile: Path) -> tuple[str, list[str]]:
    """The page's DOM once its script has run, and what it wrote to the browser's console."""
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_every_chart_is_drawn_and_nothing_is_fetched(example: dict[str, Any], tmp_path: Path) -> None:
    page = build_views(example, tmp_path / "report").html
    dom, console = open_page(page, tmp_path / "profile")
    # The page's policy refuses every address, and a refusal or a script error would be on the console.
    assert console == []
    charts = re.findall(r'<div class="chart[^>]*>(.*?)</svg>', dom, re.DOTALL)
    assert len(charts) == 4
    assert all('class="main-svg"' in chart for chart in charts)
    assert "Test top-1 accuracy (%)" in dom and "Latency, batch 1 (ms)" in dom
    assert len(re.findall(r'<g class="trace bars"', dom)) == 4


def test_a_refused_address_would_be_noticed(example: dict[str, Any], tmp_path: Path) -> None:
    page = build_views(example, tmp_path / "report").html
    text = page.read_text(encoding="utf-8").replace(
        "</main>", '<img src="https://example.invalid/x.png"></main>'
    )
    page.write_text(text, encoding="utf-8")
    _, console = open_page(page, tmp_path / "profile")
    assert any("Content Security Policy" in line for line in console)
