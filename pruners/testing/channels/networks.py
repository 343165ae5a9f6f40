"""Small networks whose channels go together in every way there is."""

import torch
from torch import Tensor, nn


class Chain(nn.Sequential):
    """Convolutions in a row, a flattening Linear, an output."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.PReLU(6),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(24, 7),
            nn.Sigmoid(),
            nn.Linear(7, 4),
        )


class Residual(nn.Module):
    """Two sums, the second over a projection; a depthwise convolution between."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.first, self.norm = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.second, self.projection = nn.Conv2d(6, 10, 1), nn.Conv2d(6, 10, 1, bias=False)
        self.output = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 4)."""
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.norm(self.first(x)))
        x = torch.relu(self.second(self.depthwise(x)) + self.projection(x))
        logits: Tensor = self.output(x.mean((2, 3)))
        return logits


class Concatenation(nn.Module):
    """Two steps of a dense block, with BatchNorm over all that came before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 5, 3, padding=1)
        self.norm1, self.conv1 = nn.BatchNorm2d(5), nn.Conv2d(5, 4, 3, padding=1)
        self.norm2, self.conv2 = nn.BatchNorm2d(9), nn.Conv2d(9, 4, 3, padding=1)
        self.output = nn.Linear(13, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 4)."""
        x = self.stem(x)
        x = torch.cat([x, self.conv1(torch.relu(self.norm1(x)))], 1)
        x = torch.cat([x, self.conv2(torch.relu(self.norm2(x)))], 1)
        logits: Tensor = self.output(x.mean((2, 3)))
        return logits


class Grouped(nn.Module):
    """Grouped convolutions, few groups and many, and a transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.few, self.norm_few = nn.Conv2d(12, 8, 3, padding=1, groups=2), nn.BatchNorm2d(8)
        self.many, self.norm_many = nn.Conv2d(8, 16, 3, padding=1, groups=4), nn.BatchNorm2d(16)
        self.up, self.norm_up = nn.ConvTranspose2d(16, 6, 2, stride=2), nn.BatchNorm2d(6)
        self.multiplied = nn.Conv2d(6, 12, 3, groups=6)
        self.output = nn.Conv2d(12, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 4)."""
        x = torch.relu(self.norm_few(self.few(torch.relu(self.norm(self.stem(x))))))
        x = torch.relu(self.norm_up(self.up(torch.relu(self.norm_many(self.many(x))))))
        logits: Tensor = self.output(torch.relu(self.multiplied(x)))
        return logits.mean((2, 3))


class SelfAttention(nn.Module):
    """Attention of three Linears, whose heads are told by attributes, as encoders like BERT write it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_attention_heads, self.attention_head_size = heads, width // heads
        self.all_head_size = width
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend in (N, L, width), with a mask that is added to the products of queries and keys."""
        query, key, value = (self._heads(layer(x)) for layer in (self.query, self.key, self.value))
        products = query @ key.transpose(-1, -2) / self.attention_head_size**0.5
        weights = (products if mask is None else products + mask).softmax(-1)
        context = (weights @ value).permute(0, 2, 1, 3).contiguous()
        return context.view(*context.shape[:-2], self.all_head_size)

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.num_attention_heads, self.attention_head_size).permute(0, 2, 1, 3)


class Attending(nn.Module):
    """Convolutions, then torch's own attention and one of three Linears between LayerNorms."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.tokens = nn.Conv2d(16, 8, 3, stride=2, padding=1)
        self.norm1, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 4, batch_first=True)
        self.norm2, self.written, self.output = nn.LayerNorm(8), SelfAttention(8, 4), nn.Linear(8, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 4)."""
        x = self.tokens(torch.relu(self.norm(self.stem(x)))).flatten(2).transpose(1, 2)
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.output(self.written(self.norm2(x)))
        logits: Tensor = self.head(x.mean(1))
        return logits


NETWORKS: tuple[type[nn.Module], ...] = (Chain, Residual, Concatenation, Grouped, Attending)


def made(factory: type[nn.Module]) -> nn.Module:
    """Make a network with weights and statistics all unlike each other, in eval mode."""
    torch.manual_seed(11)
    network = factory()
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            if tensor.is_floating_point() and tensor.dim() == 1:
                tensor.uniform_(0.3, 1.3)
    return network.eval()


def images(count: int = 1) -> Tensor:
    """Draw inputs, always the same."""
    return torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(2))


def given() -> dict[str, object]:
    """Return example, data and loss for any method."""
    labels = torch.arange(4).repeat_interleave(2)
    return {"example": images(), "data": [(images(8), labels)], "loss": nn.functional.cross_entropy}
