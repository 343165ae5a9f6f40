"""Small networks whose weights are read by a parent or shared.

Packed and separate projections, tied embeddings, torch's encoder.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, scaled_dot_product_attention

TOKENS, WIDTH, LENGTH = 7, 4, 5


class ByHand(nn.Module):
    """(n, L, 3) to three classes by one self-attention, fused or written out."""

    def __init__(self, fused: bool = True) -> None:
        super().__init__()
        self.inner, self.head, self.fused = nn.Linear(3, 3 * WIDTH), nn.Linear(WIDTH, 3), fused

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.inner(x).unflatten(-1, (6, 2)).transpose(1, 2).chunk(3, dim=1)
        mixed = scaled_dot_product_attention(q, k, v) if self.fused else (q @ k.mT / 2**0.5).softmax(-1) @ v
        return self.head(mixed.transpose(1, 2).flatten(2).mean(1))


class Attended(nn.Module):
    """(n, L, 4) to three classes by nn.MultiheadAttention.

    Attention that returns its weights is not fused.
    """

    def __init__(self, fused: bool = True, **settings: object) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True, **settings)
        self.head, self.fused = nn.Linear(WIDTH, 3), fused

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attention(x, x, x, need_weights=not self.fused)[0].tanh().mean(1))


class Crossed(nn.Module):
    """(n, L, 4) to three classes.

    Queries from one place, keys and values from another; ``kdim`` parts the projections.
    """

    def __init__(self, fused: bool = True, kdim: int | None = None) -> None:
        super().__init__()
        self.memory = nn.Linear(WIDTH, kdim or WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True, kdim=kdim, vdim=kdim)
        self.head, self.fused = nn.Linear(WIDTH, 3), fused

    def forward(self, x: Tensor) -> Tensor:
        memory = self.memory(x).tanh()
        return self.head(self.attention(x, memory, memory, need_weights=not self.fused)[0].tanh().mean(1))


class Encoded(nn.Module):
    """(n, L, 4) to three classes by torch's encoder layer, whose attention and Linears the layer itself may
    read; the last is padding.
    """

    def __init__(self, fused: bool = True) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 5, batch_first=True, activation="gelu")
        self.encoder, self.head, self.fused = nn.TransformerEncoder(layer, 1), nn.Linear(WIDTH, 3), fused

    def forward(self, x: Tensor) -> Tensor:
        padding = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        padding[:, -1] = True
        if self.fused:
            return self.head(self.encoder(x, src_key_padding_mask=padding)[:, :-1].mean(1))
        (layer,) = self.encoder.layers
        x = layer.norm1(x + layer.self_attn(x, x, x, key_padding_mask=padding)[0])
        x = layer.norm2(x + layer.linear2(nn.functional.gelu(layer.linear1(x))))
        return self.head(x[:, :-1].mean(1))


class ParentReads(nn.Module):
    """(n, L, 4) to three classes with a layer that is never called: its parent reads its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(WIDTH, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(linear(x, self.inner.weight, self.inner.bias).tanh().mean(1))


class Decoder(nn.Module):
    """Tokens (n, L) to (n, tokens, L).

    Embedding, causal attention, a head that is the embedding; ``first`` says which is defined first.
    """

    def __init__(self, first: str = "encoder") -> None:
        super().__init__()
        torch.manual_seed(5)
        if first == "encoder":
            self.encoder = nn.Embedding(TOKENS, WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.head = nn.Linear(WIDTH, TOKENS, bias=False)
        if first == "encoder":
            self.head.weight = self.encoder.weight
        else:
            self.encoder = nn.Embedding(TOKENS, WIDTH)
            self.encoder.weight = self.head.weight
        self.place = nn.Parameter(torch.randn(LENGTH, WIDTH))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.encoder(tokens) + self.place[: tokens.shape[1]]
        later = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=tokens.device).triu(1)
        return self.head(x + self.attention(x, x, x, attn_mask=later, need_weights=False)[0]).transpose(1, 2)


DECODER_WEIGHTS = 3 * WIDTH * WIDTH + WIDTH * WIDTH + TOKENS * WIDTH


def sentences(samples: int = 6) -> dict[str, object]:
    """data, loss and example for the decoder."""
    tokens = torch.randint(0, TOKENS, (samples, LENGTH + 1), generator=torch.Generator().manual_seed(2))
    return {"data": [(tokens[:, :-1], tokens[:, 1:])], "loss": cross_entropy, "example": tokens[:1, :-1]}


def sequences(width: int = WIDTH, samples: int = 6) -> tuple[Tensor, Tensor]:
    """Inputs (n, L, width) in float64 and labels of three classes."""
    generator = torch.Generator().manual_seed(3)
    return torch.randn(samples, LENGTH, width, generator=generator, dtype=torch.float64), torch.arange(
        samples
    ) % 3
