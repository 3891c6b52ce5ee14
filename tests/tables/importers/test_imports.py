from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.tables import LatencyTable, load_table, save_table
from hwtickets.tables.importers import FORMATS, sources

NOTE10 = "once-for-all-note10-224.yaml"


def test_an_imported_table_is_stored_like_any_other(
    imported: Callable[..., LatencyTable], samples: Path, tmp_path: Path
) -> None:
    table = imported(samples / NOTE10)
    save_table(table, tmp_path)
    assert load_table(tmp_path, "a-runtime", "fp32") == table


def test_the_table_says_where_its_rows_are_from_and_what_it_does_not_know(
    imported: Callable[..., LatencyTable], samples: Path
) -> None:
    table = imported(samples / NOTE10)
    assert table.provenance["imported"] == "once-for-all"
    assert table.provenance["units"] == "ms, as they are"
    content = (samples / NOTE10).read_bytes()
    assert table.provenance["files"] == [{"name": NOTE10, "sha256": hashlib.sha256(content).hexdigest()}]
    assert dict(table.error) == {}, "nobody measured whole networks for it"


@pytest.mark.parametrize(
    ("names", "form", "precision"),
    [
        ([NOTE10], "once-for-all", "fp32"),
        (["tvm-0.1.log"], "tvm", "fp32"),
        (["trtexec-10.layers.json", "trtexec-10.profile.json"], "tensorrt", "fp16"),
        (["trtexec-10.profile.json", "trtexec-10.layers.json"], "tensorrt", "fp16"),
        (["torch-tensorrt.engine-info.json", "torch-tensorrt.layer-latency.json"], "tensorrt", "fp16"),
    ],
)
def test_the_format_is_found_out(
    imported: Callable[..., LatencyTable], samples: Path, names: list[str], form: str, precision: str
) -> None:
    files = [samples / name for name in names]
    table = imported(*files, precision=precision)
    assert table.provenance["imported"] == form
    assert table.rows == imported(*files, precision=precision, format=form).rows


def test_packed_files_are_unpacked(
    imported: Callable[..., LatencyTable], samples: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "table.yaml.gz"
    packed.write_bytes(gzip.compress((samples / NOTE10).read_bytes()))
    assert imported(packed).rows == imported(samples / NOTE10).rows


def test_several_resolutions_are_one_table(
    imported: Callable[..., LatencyTable], samples: Path, tmp_path: Path
) -> None:
    smaller = tmp_path / "112.yaml"
    smaller.write_text(
        "Conv-input:112x112x3-output:56x56x24: {mean: 0.3, std: 0.01, count: 50}\n"
        "Logits-input:1x1x1536-output:1000: {mean: 0.669412, std: 0.01, count: 50}\n"
    )
    one, both = imported(samples / NOTE10), imported(samples / NOTE10, smaller)
    assert len(both.rows) == len(one.rows) + 1
    assert len(both.provenance["files"]) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"device": "../../etc"}, "the device '../../etc' is no name"),
        ({"precision": "fp 16"}, "the precision 'fp 16' is no name"),
        ({"format": "onceforall"}, "did you mean 'once-for-all'"),
        ({"files": ()}, "no file is given"),
    ],
)
def test_a_wrong_request_is_bad_usage(samples: Path, change: dict[str, object], reason: str) -> None:
    from hwtickets.tables.importers import Import, import_table

    asked = {"files": [samples / NOTE10], "device": "a", "runtime": "b", "precision": "c", **change}
    with pytest.raises(UsageError, match=reason):
        import_table(Import(**asked))  # type: ignore[arg-type]


def test_what_is_of_no_known_format_says_how_to_name_it(
    imported: Callable[..., LatencyTable], tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match=" or ".join(FORMATS)):
        imported(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_one_line(
    imported: Callable[..., LatencyTable], tmp_path: Path, name: str
) -> None:
    with pytest.raises(HwticketsError, match="measurements") as caught:
        imported(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b" \n\n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_named(
    imported: Callable[..., LatencyTable], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(HwticketsError, match=r"a\.yaml: it is empty"):
        imported(tmp_path / "a.yaml", format="once-for-all")


def test_nothing_that_fits_into_a_table_is_an_error(
    imported: Callable[..., LatencyTable], tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text("Gather-input:1x1x3-output:1x1x3: {mean: 1, std: 0, count: 2}\n")
    with pytest.raises(HwticketsError, match=r"left out: operators of the type Gather \(1\)"):
        imported(tmp_path / "a.yaml")


def test_a_small_file_cannot_unpack_into_the_whole_memory(
    imported: Callable[..., LatencyTable], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_MOST_BYTES", 10_000)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(1_000_000)))
    with pytest.raises(HwticketsError, match=r"bomb\.gz: it holds more than"):
        imported(tmp_path / "bomb.gz", format="tvm")
    (tmp_path / "large").write_bytes(bytes(10_001))
    with pytest.raises(HwticketsError, match="large: it holds more than"):
        imported(tmp_path / "large", format="tvm")
