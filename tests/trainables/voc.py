"""A folder in VOC's layout, written from scikit-learn's two photographs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

VOID = 255


def write_voc(
    folder: Path, splits: Mapping[str, int], side: int = 64, classes: int = 21
) -> dict[str, list[str]]:
    """Write crops of (side + 16, side) pixels; a pixel's class is how bright it is, the frame is void.

    Returns the names of each split.
    """
    photographs = load_sample_images().images
    draw = np.random.default_rng(0)
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    names: dict[str, list[str]] = {}
    for split, count in splits.items():
        names[split] = [f"{split}_{number:04}" for number in range(count)]
        for number, name in enumerate(names[split]):
            photograph = photographs[number % 2]
            top = draw.integers(photograph.shape[0] - side)
            left = draw.integers(photograph.shape[1] - side - 16)
            crop = photograph[top : top + side, left : left + side + 16]
            Image.fromarray(crop).save(folder / "JPEGImages" / f"{name}.jpg", quality=95)
            mask = (crop.mean(axis=2) * classes / 256).astype(np.uint8)
            mask[[0, -1]] = VOID
            written = Image.fromarray(mask, mode="P")
            written.putpalette(bytes(draw.integers(256, size=768, dtype=np.uint8)))
            written.save(folder / "SegmentationClass" / f"{name}.png")
        listed = folder / "ImageSets/Segmentation" / f"{split}.txt"
        listed.write_text("\n".join(names[split]) + "\n", encoding="utf-8")
    return names
