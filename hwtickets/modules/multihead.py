"""`nn.MultiheadAttention` whose heads can be removed: the original reads its width off its input."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HeadedAttention(nn.MultiheadAttention):
    """The same computation from the same parameters, its width given by its weights.

    `convert` turns an attention into this in place: names and state dict stay what they were.
    """

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Arguments and results as of `nn.MultiheadAttention`."""
        single = query.dim() == 2
        inputs = [x.unsqueeze(0) if single else x for x in (query, key, value)]
        if not self.batch_first and not single:
            inputs = [x.transpose(0, 1) for x in inputs]
        rows, biases = self._rows(), self._biases()
        heads = [
            self._split(F.linear(x, row, bias)) for x, row, bias in zip(inputs, rows, biases, strict=True)
        ]
        mask = _mask(attn_mask, key_padding_mask, heads[0])
        scores = heads[0] * self.head_dim**-0.5 @ heads[1].transpose(-2, -1)
        weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
        weights = F.dropout(weights, self.dropout, self.training)
        mixed = (weights @ heads[2]).transpose(1, 2).flatten(2)
        result: Tensor = self.out_proj(mixed)
        if single:
            result = result.squeeze(0)
        elif not self.batch_first:
            result = result.transpose(0, 1)
        if not need_weights:
            return result, None
        shown = weights.mean(1) if average_attn_weights else weights
        return result, shown.squeeze(0) if single else shown

    def _rows(self) -> list[Tensor]:
        """Projections of queries, keys and values."""
        if self._parameters["in_proj_weight"] is None:
            return [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        return list(self.in_proj_weight.chunk(3))

    def _biases(self) -> list[Tensor | None]:
        return [None] * 3 if self.in_proj_bias is None else list(self.in_proj_bias.chunk(3))

    def _split(self, x: Tensor) -> Tensor:
        """(batch, rows, heads x size) -> (batch, heads, rows, size)."""
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)


def convert(body: nn.Module) -> None:
    """Makes the heads of every plain attention in a module removable, in place."""
    for part in body.modules():
        if type(part) is nn.MultiheadAttention and part.bias_k is None and not part.add_zero_attn:
            part.__class__ = HeadedAttention
            # Keeps nn.TransformerEncoderLayer off its fused kernel, which reads widths off its input too.
            part._qkv_same_embed_dim = False


def _mask(attn_mask: Tensor | None, key_padding_mask: Tensor | None, queries: Tensor) -> Tensor | None:
    """Both masks as one that is added to the scores, (batch, heads, rows, keys) or broadcast to it."""
    masks: list[Any] = []
    if attn_mask is not None:
        per_head = attn_mask.dim() == 3
        shaped = attn_mask.view(len(queries), -1, *attn_mask.shape[1:]) if per_head else attn_mask
        masks.append(_added(shaped, queries))
    if key_padding_mask is not None:
        masks.append(_added(key_padding_mask[:, None, None], queries))
    if not masks:
        return None
    total: Tensor = sum(masks[1:], masks[0])
    return total


def _added(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, float("-inf"))
