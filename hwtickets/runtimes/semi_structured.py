"""2:4 weights on NVIDIA GPUs through PyTorch: `torch.sparse` with cuSPARSELt, layer by layer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.sparsity.patterns.n_of_m import NOfM

_PATTERN = NOfM(2, 4)
#: Sparse tensor cores came with compute capability 8.0.
_FIRST = (8, 0)
_TYPES = (torch.float16, torch.bfloat16, torch.int8)
_RUNS, _WARMUP, _REPLAYS = 50, 10, 20


class SemiStructuredTime(NamedTuple):
    """One product, dense and with 2:4 weights.

    Attributes:
        dense_ms: Median time of the dense product.
        sparse_ms: Median time of the sparse one.
    """

    dense_ms: float
    sparse_ms: float

    @property
    def speedup(self) -> float:
        """How many times as fast the sparse product is."""
        return self.dense_ms / self.sparse_ms


def require_sparse_tensor_cores() -> str:
    """Checks that 2:4 can run faster here.

    Returns:
        Name of the GPU.

    Raises:
        DeviceError: There is no GPU with sparse tensor cores.
    """
    if not torch.cuda.is_available():
        raise DeviceError(
            "2:4 sparse weights need an NVIDIA GPU with sparse tensor cores; on this CPU they take as long as"
            " dense ones"
        )
    found = torch.cuda.get_device_capability()
    name = torch.cuda.get_device_name()
    if found < _FIRST:
        raise DeviceError(
            f"{name} has compute capability {found[0]}.{found[1]}; sparse tensor cores came with 8.0"
        )
    return name


def compressed(weight: Tensor) -> Tensor:
    """A weight (C_out, C_in) that holds 2:4, in the form that sparse tensor cores multiply.

    Raises:
        DeviceError: There is no such GPU here.
        HwticketsError: The weight does not hold 2:4, or has a shape or type that the kernels do not take.
    """
    require_sparse_tensor_cores()
    if weight.dim() != 2 or weight.dtype not in _TYPES:
        raise HwticketsError(
            f"2:4 kernels multiply matrices in fp16, bf16 or int8, not {weight.dtype} of shape"
            f" {tuple(weight.shape)}"
        )
    groups = (weight != 0).unflatten(1, (-1, 4)).sum(2) if weight.shape[1] % 4 == 0 else None
    if groups is None or bool((groups > 2).any()):
        raise HwticketsError("the weight does not hold 2:4; prune it first (mask_pattern: '2:4')")
    try:
        return torch.sparse.to_sparse_semi_structured(weight)
    except RuntimeError as error:
        raise HwticketsError(f"no 2:4 kernel takes {tuple(weight.shape)}: {error}") from error


def pruned_weight(rows: int, columns: int, dtype: torch.dtype, device: str) -> Tensor:
    """A random weight (rows, columns) that holds 2:4."""
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))
    kept = _PATTERN.select({"": weight.abs()}, _PATTERN.share or 0.0, "layer", 0.0)[""]
    return (weight * kept).to(device, dtype)


def time_product(c_out: int, c_in: int, rows: int, dtype: torch.dtype = torch.float16) -> SemiStructuredTime:
    """Times one product (rows, c_in) x (c_in, c_out), dense and sparse in turns, as replays of CUDA graphs.

    A 1x1 convolution is this product with height x width x batch rows.

    Raises:
        DeviceError: There is no such GPU here.
        HwticketsError: The kernels do not take this shape.
    """
    require_sparse_tensor_cores()
    weight = pruned_weight(c_out, c_in, dtype, "cuda")
    x = torch.randn(rows, c_in, device="cuda", dtype=dtype)
    graphs = [_captured(x, each) for each in (weight, compressed(weight))]
    samples_ms = [[_replayed_ms(graph) for graph in graphs] for _ in range(_WARMUP + _RUNS)][_WARMUP:]
    dense_ms, sparse_ms = torch.tensor(samples_ms).median(0).values.tolist()
    return SemiStructuredTime(dense_ms, sparse_ms)


def _captured(x: Tensor, weight: Tensor) -> torch.cuda.CUDAGraph:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            nn.functional.linear(x, weight)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(_REPLAYS):
            nn.functional.linear(x, weight)
    return graph


def _replayed_ms(graph: torch.cuda.CUDAGraph) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    graph.replay()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / _REPLAYS
