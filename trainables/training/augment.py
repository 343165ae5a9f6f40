"""Random changes to a batch of images, made where it lies; the same generator gives the same anywhere."""

import torch
from torch import Tensor
from torch.nn import functional

from trainables.training.step_plan import Part


def augment(
    images: Tensor, kinds: tuple[str, ...], random: torch.Generator, part: Part | None = None
) -> Tensor:
    """Apply each of ``kinds`` in turn to ``images`` (N, C, H, W), every image on its own.

    ``flip`` mirrors left and right; ``crop`` pads an eighth of each side with zeros and cuts the original
    size out again; ``shift`` moves by at most one pixel each way, repeating the border. ``random`` is a CPU
    generator, from which numbers are drawn for the whole batch where these are a ``part`` of one.
    """
    part = part or Part(0, len(images), len(images))
    for kind in kinds:
        if kind == "flip":
            mirrored = (torch.rand(part.whole, generator=random) < 0.5)[part.rows]
            images = torch.where(mirrored.to(images.device).view(-1, 1, 1, 1), images.flip(3), images)
        elif kind == "crop":
            rows, columns = max(1, images.shape[2] // 8), max(1, images.shape[3] // 8)
            images = _moved(images, rows, columns, "constant", random, part)
        else:
            images = _moved(images, 1, 1, "replicate", random, part)
    return images


def augment_batch(
    images: Tensor,
    labels: Tensor,
    kinds: tuple[str, ...],
    random: torch.Generator,
    ignored: int,
    part: Part | None = None,
) -> tuple[Tensor, Tensor]:
    """Apply `augment` to ``images`` and, where ``labels`` (N, H, W) are maps, the same to these.

    What comes into a map from outside has the label ``ignored``, which counts for nothing.
    """
    if labels.dim() != 3:
        return augment(images, kinds, random, part), labels
    # as one more channel, in which the zeros that crop pads with stand for what is ignored
    maps = (labels - ignored).to(images.dtype)[:, None]
    changed = augment(torch.cat((images, maps), 1), kinds, random, part)
    return changed[:, :-1].contiguous(), changed[:, -1].to(labels.dtype) + ignored


def _moved(
    images: Tensor, rows: int, columns: int, padding: str, random: torch.Generator, part: Part
) -> Tensor:
    """Move each image by up to ``rows`` and ``columns`` pixels either way."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (columns, columns, rows, rows), mode=padding)
    down = torch.randint(2 * rows + 1, (part.whole, 1), generator=random)[part.rows]
    right = torch.randint(2 * columns + 1, (part.whole, 1), generator=random)[part.rows]
    top, left = down + torch.arange(height), right + torch.arange(width)
    top, left = top.to(images.device), left.to(images.device)
    which = torch.arange(count, device=images.device)[:, None, None]
    cut = padded[which, :, top[:, :, None], left[:, None, :]]
    return cut.permute(0, 3, 1, 2).contiguous()
