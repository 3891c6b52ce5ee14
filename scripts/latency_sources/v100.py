"""Convolutions on a Tesla V100 in TensorRT: three precisions, four batch sizes."""

from __future__ import annotations

from pathlib import Path

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.table import LatencyTable, Row

from .common import Device, Made, Repository, provenance, read_csv, with_row_error

_SOURCE = Repository(
    "alibaba/lightweight-neural-architecture-search",
    "8ccaf88",
    "Apache-2.0",
    ("lightweight-nas.Apache-2.0.txt", "lightweight-nas.NOTICE.txt"),
)
_PRECISIONS = ("fp16", "fp32", "int8")
_BATCHES = (1, 32, 64, 128)
_MULTIPROCESSORS = 80
_DEFECTS = {
    "": "single convolutions alone: no pooling, no classifier; what is not there is estimated",
    "int8": "int8 is often not faster than fp16: a V100 has no int8 tensor cores",
    "batch 1": "batch-1 kernels bottom out near 0.01 to 0.03 ms, the launch floor",
    "fp16-b32": "the source mixes two campaigns at fp16 and batch 32: convolutions with images of 10, 16,"
    " 18, 22, 24, ... pixels and without an int8 figure never take less than 0.06 ms, up to five times their"
    " neighbours; those 9894 rows are left out",
}


def device(data: Path) -> Device:
    """All tables of the V100."""
    file = data / "op_tables" / "v100_tensorrt_conv.csv"
    rows = read_csv(file)
    made = [
        Made(_table(rows, file, precision, batch), _SOURCE.texts, packed=True)
        for precision in _PRECISIONS
        for batch in _BATCHES
    ]
    return Device(
        "v100",
        "NVIDIA Tesla V100",
        "measured single convolutions, TensorRT, fp32, fp16 and int8, batch 1, 32, 64 and 128",
        "tensorrt-fp16",
        made,
    )


def spec_of(row: dict[str, str]) -> OperatorSpec:
    """The operator of a line of the source; "elt_fused" is an added tensor."""
    c_in = int(row["c_in"])
    return OperatorSpec(
        "conv",
        c_in,
        int(row["c_out"]),
        int(row["kernel"]),
        int(row["stride"]),
        c_in if row["conv_type"] == "Depthwise" else 1,
        int(row["h_in"]),
        int(row["w_in"]),
        residual=row["elt_fused"] == "1",
    )


def second_campaign(row: dict[str, str]) -> bool:
    """Whether the fp16 figure of a line is of the other campaign; see the defects."""
    return (
        row["conv_type"] == "Regular" and row["batch"] == "32" and bool(row["fp16_ms"]) and not row["int8_ms"]
    )


def _table(rows: list[dict[str, str]], file: Path, precision: str, batch: int) -> LatencyTable:
    kept = {
        spec_of(row): Row(float(row[f"{precision}_ms"]))
        for row in rows
        if row["batch"] == str(batch)
        and row[f"{precision}_ms"]
        and not (precision == "fp16" and second_campaign(row))
    }
    which = ("", precision, f"batch {batch}", f"{precision}-b{batch}")
    table = LatencyTable(
        device="v100",
        runtime="tensorrt",
        precision=precision,
        batch=batch,
        alignment=8,
        fingerprint={
            "device": "v100",
            "gpu": "Tesla V100",
            "multiprocessors": str(_MULTIPROCESSORS),
            "runtime": "TensorRT, version not stated",
            "precision": precision,
        },
        rows=dict(sorted(kept.items(), key=lambda item: repr(item[0]))),
        provenance=provenance(
            "measured",
            "operators",
            [_SOURCE.as_dict(file)],
            "each convolution measured on its own by the authors of the source; runs and spread are not"
            " stated; the activation is not stated",
            [_DEFECTS[name] for name in which if name in _DEFECTS],
        ),
    )
    return with_row_error(table)
