"""Attention with fewer heads than its width has room for, as nn.MultiheadAttention cannot have."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class HeadAttention(nn.MultiheadAttention):
    """Multi-head attention over ``num_heads * head_dim`` features in place of ``embed_dim``.

    It is called as nn.MultiheadAttention is and returns the same. `tell_heads` makes one of an attention that
    has lost heads. Its projections' weights have ``num_heads * head_dim`` rows each, ``out_proj`` as many
    columns, and its parameters the names that they had.
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
        """Attend as nn.MultiheadAttention does, with its shapes, masks and errors for a hint without mask."""
        if query.is_nested:
            return self._of_nested(query, need_weights, average_attn_weights)
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        batched = query.dim() == 3
        q, k, v = (self._batch_first(x, batched) for x in self._projected(query, key, value))
        if not batched and key_padding_mask is not None:
            key_padding_mask = key_padding_mask[None]
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat([k, self.bias_k.expand(len(k), -1, -1)], 1)
            v = torch.cat([v, self.bias_v.expand(len(v), -1, -1)], 1)
        q, k, v = (x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for x in (q, k, v))
        if self.add_zero_attn:
            k, v = (functional.pad(x, (0, 0, 0, 1)) for x in (k, v))
        # the hint stands for the mask where torch takes it so
        causal = is_causal and key_padding_mask is None and not need_weights
        mask = None if causal else self._joined(attn_mask, key_padding_mask, q, k)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            products = q * math.sqrt(1 / self.head_dim) @ k.transpose(-2, -1)
            weights = (products if mask is None else products + mask).softmax(-1)
            weights = functional.dropout(weights, dropout)
            heads = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights if batched else weights[0]
        else:
            heads = functional.scaled_dot_product_attention(q, k, v, mask, dropout, causal)
        output: Tensor = self.out_proj(heads.transpose(1, 2).flatten(2))
        if not batched:
            return output[0], weights
        return output if self.batch_first else output.transpose(0, 1), weights

    def _batch_first(self, x: Tensor, batched: bool) -> Tensor:
        if not batched:
            return x[None]
        return x if self.batch_first else x.transpose(0, 1)

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        if self.in_proj_weight is not None and query is key and key is value:
            return functional.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        if self.in_proj_weight is not None:
            weights: tuple[Tensor, ...] = self.in_proj_weight.chunk(3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        return tuple(map(functional.linear, (query, key, value), weights, biases))

    def _joined(self, mask: Tensor | None, padding: Tensor | None, q: Tensor, k: Tensor) -> Tensor | None:
        """Join a mask (L, S) or (N * num_heads, L, S) and one of padding (N, S), to be added to products."""
        joined = None
        if mask is not None:
            joined = _added(mask, q)
            if mask.dim() == 3:
                joined = joined.unflatten(0, (len(q), self.num_heads))
        if padding is not None:
            added = _added(padding, q)[:, None, None]
            joined = added if joined is None else joined + added
        # of what is attended to beside the keys nothing is masked
        return None if joined is None else functional.pad(joined, (0, k.shape[2] - joined.shape[-1]))

    def _of_nested(
        self, query: Tensor, need_weights: bool, average_attn_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Attend within sequences of their own lengths, which nn.TransformerEncoder makes of padded ones."""
        lengths = [len(sequence) for sequence in query.unbind()]
        padded = query.to_padded_tensor(0.0)
        places = torch.arange(padded.shape[1], device=query.device)
        padding = places >= torch.tensor(lengths, device=query.device)[:, None]
        output, weights = self(padded, padded, padded, padding, need_weights, None, average_attn_weights)
        kept = [sequence[:length] for sequence, length in zip(output, lengths, strict=True)]
        return torch.nested.as_nested_tensor(kept), weights


def is_torchs(attention: nn.MultiheadAttention) -> bool:
    """Tell whether an attention computes as torch's own, so that heads of it can go: no derived class may."""
    return type(attention) in (nn.MultiheadAttention, HeadAttention)


def tell_heads(attention: nn.MultiheadAttention) -> None:
    """Set an attention's heads to those of its tensors, and its class to the one that computes with so many.

    The module stays the same one, with its hooks and whatever else was done to it.
    """
    width = attention.out_proj.weight.shape[1]
    attention.num_heads = width // attention.head_dim
    _become(attention, nn.MultiheadAttention if width == attention.embed_dim else HeadAttention)


def call_output_projections(network: nn.Module) -> None:
    """Let every attention of a network call its ``out_proj``, which nn.MultiheadAttention only reads.

    Hooks then see what it is given.
    """
    for module in network.modules():
        if type(module) is nn.MultiheadAttention:
            _become(module, HeadAttention)


def _become(attention: nn.MultiheadAttention, form: type[nn.MultiheadAttention]) -> None:
    attention.__class__ = form
    # asked for by the fast path of nn.TransformerEncoderLayer, which takes weights for those of all heads
    attention._qkv_same_embed_dim = form is nn.MultiheadAttention and attention.in_proj_weight is not None


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """Return a mask as numbers to add: of a bool one -inf where it is True."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, -math.inf)
