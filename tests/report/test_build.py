from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hwtickets.errors import HwticketsError
from hwtickets.report import build_views, merge_reports


class Page(HTMLParser):
    """Collects what a browser would fetch, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self._hidden = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")
        ]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.texts.append(data)


def visible(path: Path) -> str:
    return " ".join(" ".join(Page(path.read_text(encoding="utf-8")).texts).replace("\u00a0", " ").split())


def test_every_view_is_written_and_the_source_is_unchanged(example: dict[str, Any], tmp_path: Path) -> None:
    paths = build_views(example, tmp_path / "run" / "report")
    assert json.loads(paths.json.read_text(encoding="utf-8")) == example
    assert sorted(path.name for path in paths.json.parent.iterdir()) == [
        "latency_accuracy.png",
        "report.html",
        "report.json",
        "report.md",
    ]
    with Image.open(paths.png) as picture:
        assert picture.width == 1350


@pytest.mark.parametrize(("resolution", "shown"), [(28, "at 28 px"), ([96, 128], "at 96x128 px")])
def test_the_page_says_how_large_the_inputs_are(
    example: dict[str, Any], tmp_path: Path, resolution: object, shown: str
) -> None:
    example["task"]["resolution"] = resolution
    paths = build_views(example, tmp_path)
    assert shown in visible(paths.html)
    assert json.loads(paths.json.read_text(encoding="utf-8"))["task"]["resolution"] == resolution


def test_page_and_markdown_hold_the_figures(example: dict[str, Any], tmp_path: Path) -> None:
    paths = build_views(example, tmp_path)
    page, markdown = visible(paths.html), paths.markdown.read_text(encoding="utf-8")
    for figure in (
        "0.0508 ms",
        "0.394 ×",
        "−0.20 points",
        "2.71 M",
        "101 kB",
        "24/64",
        "97.0 %",
        "1 min 58 s",
        "kept",
    ):
        assert figure in page and figure in markdown, figure
    assert "(latency_accuracy.png)" in markdown
    assert example["command"] in page and example["command"] in markdown


def test_the_page_refers_to_nothing_outside(example: dict[str, Any], tmp_path: Path) -> None:
    text = build_views(example, tmp_path).html.read_text(encoding="utf-8")
    assert Page(text).addresses == []
    assert "default-src 'none'" in text
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style


def test_what_was_not_measured_is_never_a_zero(unmeasured: dict[str, Any], tmp_path: Path) -> None:
    paths = build_views(unmeasured, tmp_path)
    page, markdown = visible(paths.html), paths.markdown.read_text(encoding="utf-8")
    assert "not measured" in page and "not measured" in markdown
    assert re.search(r"(?<![\d.])0(\.0+)? (ms|%|×)", page + markdown) is None
    assert "no ticket has both a predicted and a measured latency" in page
    assert "no network was profiled" in page


def test_a_network_that_no_chart_shows_is_named_with_what_it_lacks(
    example: dict[str, Any], tmp_path: Path
) -> None:
    example["dense"]["accuracy"] = {"validation": None, "test": None}
    assert "Not shown: dense (accuracy not measured), " in visible(build_views(example, tmp_path).html)


def test_a_predicted_run_is_never_called_measured(predicted: dict[str, Any], tmp_path: Path) -> None:
    paths = build_views(predicted, tmp_path)
    page, markdown = visible(paths.html), paths.markdown.read_text(encoding="utf-8")
    for text in (page, markdown):
        assert "predicted 0.0514 ± 0.012 ms" in text and "predicted 0.398 ×" in text
        assert "predicted to be kept" in text
        assert "The bundle is fp32; TensorRT builds fp16 from it." in text
        assert "no device showed them" in text
        assert re.search(r"\d (ms )?measured|Measured time|median of the runs", text) is None
    assert "Where the time goes, predicted from table" in markdown
    source = paths.html.read_text(encoding="utf-8")
    assert "Predicted latency, not measured, batch 1 (ms)" in source
    assert "Predicted time in the block, not measured (ms)" in source


def test_why_there_is_no_energy_is_in_both_views(example: dict[str, Any], tmp_path: Path) -> None:
    reason = "not available: INA3221: there is no power monitor"
    example["device"]["energy"] = reason
    built = build_views(example, tmp_path)
    assert reason in visible(built.html)
    assert reason in built.markdown.read_text(encoding="utf-8")


def test_what_was_not_cut_and_what_was_not_looked_up_is_in_both_views(
    example: dict[str, Any], tmp_path: Path
) -> None:
    written = build_views(example, tmp_path / "plain")
    for view in (written.html, written.markdown):
        assert (
            "What stayed whole" not in view.read_text(encoding="utf-8")
            and "without a row" not in view.read_text()
        )
    example["unprunable"] = {"stem.conv": "its width is written down"}
    example["tickets"][0]["estimated"] = ["softmax 64 x 64"]
    written = build_views(example, tmp_path / "told")
    for view in (written.html, written.markdown):
        text = view.read_text(encoding="utf-8")
        assert "stem.conv" in text and "its width is written down" in text
        assert "Operators without a row" in text and "softmax 64 x 64" in text


def test_the_bare_minimum_has_no_empty_chart(bare: dict[str, Any], tmp_path: Path) -> None:
    paths = build_views(bare, tmp_path)
    assert 'class="chart"' not in paths.html.read_text(encoding="utf-8")
    assert "no network has both a latency and an accuracy" in visible(paths.html)


def test_names_cannot_become_markup(example: dict[str, Any], tmp_path: Path) -> None:
    nasty = "</script><script>alert(1)</script> | $x_1$ *b*"
    example["title"] = nasty
    example["tickets"][0]["label"] = nasty
    example["dense"]["blocks"][0]["name"] = nasty
    example["versions"]["<img src=x>"] = nasty
    paths = build_views(example, tmp_path)
    text = paths.html.read_text(encoding="utf-8")
    assert text.count("<script>alert(1)") == 0
    assert Page(text).addresses == []
    assert nasty in visible(paths.html)
    assert "\\</script\\>\\<script\\>alert(1)\\</script\\> \\| $x\\_1$ \\*b\\*" in paths.markdown.read_text(
        encoding="utf-8"
    )


def test_several_runs_share_one_page(
    example: dict[str, Any], unmeasured: dict[str, Any], tmp_path: Path
) -> None:
    second = json.loads(json.dumps(unmeasured)) | {"title": "Test sample: board"}
    page = visible(build_views(merge_reports([example, second]), tmp_path).html)
    assert "2 runs compared" in page
    assert page.count("Course of the search") == 2


def test_a_damaged_report_writes_nothing(example: dict[str, Any], tmp_path: Path) -> None:
    example["tickets"][0]["latency_ms"]["p50"] = float("inf")
    with pytest.raises(HwticketsError, match=r"tickets\.0\.latency_ms\.p50"):
        build_views(example, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_importing_the_room_loads_no_plotting() -> None:
    heavy = "{'plotly', 'matplotlib', 'numpy', 'torch'}"
    code = f"import sys, hwtickets.report; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_that_is_a_file_is_one_line(example: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "report").write_text("in the way")
    with pytest.raises(HwticketsError, match="cannot write") as failure:
        build_views(example, tmp_path / "report")
    assert "\n" not in str(failure.value)
