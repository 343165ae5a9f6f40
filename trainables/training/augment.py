"""Random changes to a batch of images, made where it lies; the same generator gives the same anywhere."""

import torch
from torch import Tensor
from torch.nn import functional


def augment(images: Tensor, kinds: tuple[str, ...], random: torch.Generator) -> Tensor:
    """Apply each of ``kinds`` in turn to ``images`` (N, C, H, W), every image on its own.

    ``flip`` mirrors left and right; ``crop`` pads an eighth of each side with zeros and cuts the original
    size out again; ``shift`` moves by at most one pixel each way, repeating the border. ``random`` is a CPU
    generator.
    """
    for kind in kinds:
        if kind == "flip":
            mirrored = torch.rand(len(images), generator=random) < 0.5
            images = torch.where(mirrored.to(images.device).view(-1, 1, 1, 1), images.flip(3), images)
        elif kind == "crop":
            images = _moved(
                images, max(1, images.shape[2] // 8), max(1, images.shape[3] // 8), "constant", random
            )
        else:
            images = _moved(images, 1, 1, "replicate", random)
    return images


def augment_batch(
    images: Tensor, labels: Tensor, kinds: tuple[str, ...], random: torch.Generator, ignored: int
) -> tuple[Tensor, Tensor]:
    """Apply `augment` to ``images`` and, where ``labels`` (N, H, W) are maps, the same to these.

    What comes into a map from outside has the label ``ignored``, which counts for nothing.
    """
    if labels.dim() != 3:
        return augment(images, kinds, random), labels
    # as one more channel, in which the zeros that crop pads with stand for what is ignored
    maps = (labels - ignored).to(images.dtype)[:, None]
    changed = augment(torch.cat((images, maps), 1), kinds, random)
    return changed[:, :-1].contiguous(), changed[:, -1].to(labels.dtype) + ignored


def _moved(images: Tensor, rows: int, columns: int, padding: str, random: torch.Generator) -> Tensor:
    """Move each image by up to ``rows`` and ``columns`` pixels either way."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (columns, columns, rows, rows), mode=padding)
    top = torch.randint(2 * rows + 1, (count, 1), generator=random) + torch.arange(height)
    left = torch.randint(2 * columns + 1, (count, 1), generator=random) + torch.arange(width)
    top, left = top.to(images.device), left.to(images.device)
    which = torch.arange(count, device=images.device)[:, None, None]
    cut = padded[which, :, top[:, :, None], left[:, None, :]]
    return cut.permute(0, 3, 1, 2).contiguous()
