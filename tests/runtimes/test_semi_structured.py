from __future__ import annotations

import pytest
import torch

from hwtickets.errors import DeviceError
from hwtickets.runtimes.semi_structured import compressed, pruned_weight, time_product

on_a_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
on_a_gpu = pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 0),
    reason="needs a GPU with sparse tensor cores",
)


def test_a_pruned_weight_keeps_two_of_four_inputs() -> None:
    weight = pruned_weight(8, 16, torch.float16, "cpu")
    assert (weight != 0).unflatten(1, (-1, 4)).sum(2).eq(2).all()


@on_a_cpu
def test_on_a_cpu_2_4_is_refused_in_one_line() -> None:
    for refused in (
        lambda: compressed(pruned_weight(64, 64, torch.float16, "cpu")),
        lambda: time_product(64, 64, 64),
    ):
        with pytest.raises(DeviceError, match="need an NVIDIA GPU with sparse tensor cores") as caught:
            refused()
        assert "\n" not in str(caught.value)


@on_a_gpu
def test_a_compressed_weight_multiplies_like_the_dense_one() -> None:
    weight = pruned_weight(128, 128, torch.float16, "cuda")
    x = torch.randn(64, 128, device="cuda", dtype=torch.float16)
    dense, sparse = (torch.nn.functional.linear(x, each) for each in (weight, compressed(weight)))
    torch.testing.assert_close(dense, sparse, rtol=1e-2, atol=1e-2)
