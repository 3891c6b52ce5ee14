from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from hwtickets.space.spec import OperatorSpec, sized


def _counted(compute: object) -> int:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        compute()  # type: ignore[operator]
    return int(counter.get_total_flops()) // 2


def test_names_of_shipped_tables_stay_what_they_were() -> None:
    assert repr(OperatorSpec("conv", 3, 16, 3, 2, 1, 32, 32, "relu")) == (
        "OperatorSpec(kind='conv', c_in=3, c_out=16, kernel=3, stride=2, groups=1, height=32, width=32,"
        " activation='relu', residual=False, hidden=0, dilation=1)"
    )


@pytest.mark.parametrize(
    ("spec", "compute"),
    [
        (
            OperatorSpec("conv", 6, 8, 1, groups=2, height=9, width=7, kernel_width=5),
            lambda: F.conv2d(torch.zeros(1, 6, 9, 7), torch.zeros(8, 3, 1, 5), padding=(0, 2), groups=2),
        ),
        (
            OperatorSpec("conv", 6, 8, 3, 2, height=9, width=7, out_height=4, out_width=3),
            lambda: F.conv2d(torch.zeros(1, 6, 9, 7), torch.zeros(8, 6, 3, 3), stride=2),
        ),
        (
            OperatorSpec("linear", 6, 8, height=5, width=3),
            lambda: F.linear(torch.zeros(3, 5, 6), torch.zeros(8, 6)),
        ),
        (
            OperatorSpec("product", 6, 8, height=5, groups=3),
            lambda: torch.bmm(torch.zeros(3, 5, 6), torch.zeros(3, 6, 8)),
        ),
        (
            OperatorSpec("attention", 8, 8, height=5, width=3, groups=2, hidden=7),
            lambda: torch.zeros(3, 2, 5, 4) @ torch.zeros(3, 2, 4, 7) @ torch.zeros(3, 2, 7, 4),
        ),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_macs_are_those_that_torch_counts(spec: OperatorSpec, compute: object) -> None:
    assert spec.macs == _counted(compute)


def test_a_transposed_convolution_works_on_every_input_pixel() -> None:
    spec = OperatorSpec("deconv", 6, 8, 2, 2, height=5, width=4, out_height=10, out_width=8)
    assert spec.macs == 6 * 8 * 4 * 20
    assert spec.params == 6 * 8 * 4 + 8


def test_attention_moves_its_scores_besides_its_tensors() -> None:
    spec = OperatorSpec("attention", 8, 8, height=5, groups=2)
    assert spec.params == 0
    assert spec.bytes_moved == 4 * (4 * 5 * 8 + 2 * 2 * 25)


@pytest.mark.parametrize("kind", ["layernorm", "groupnorm", "batchnorm"])
def test_norms_hold_a_scale_and_a_shift_a_channel(kind: str) -> None:
    spec = OperatorSpec(kind, 8, 8, height=5, width=4)
    assert (spec.macs, spec.params, spec.out_size) == (0, 16, (5, 4))
    assert spec.bytes_moved == 4 * (2 * 8 * 20 + 16)


def test_an_output_size_is_written_only_where_the_stride_does_not_give_it() -> None:
    spec = OperatorSpec("conv", 3, 8, 3, 2, height=9, width=9)
    assert sized(spec, 5, 5) == spec
    assert sized(spec, 4, 4).out_size == (4, 4)
    assert sized(sized(spec, 4, 4), 5, 5) == spec
