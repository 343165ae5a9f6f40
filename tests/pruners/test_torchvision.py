"""torchvision's networks, the small ones, through all that docs/networks.py takes them through."""

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.segmentation.deeplabv3 import DeepLabHead, DeepLabV3
from torchvision.models.swin_transformer import SwinTransformer, SwinTransformerBlockV2

import pruners
from docs.networks import METHODS, Row, Subject, check, page


def features():
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    return nn.Sequential(stem, nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=2), nn.ReLU())


class Named(nn.Module):
    """Features by the name that torchvision's segmentation networks ask for."""

    def __init__(self):
        super().__init__()
        self.features = features()

    def forward(self, images):
        return {"out": self.features(images)}


def segmentation():
    head = DeepLabHead(16, 3, atrous_rates=(1, 2, 3))
    return DeepLabV3(Named(), head)


def detection():
    backbone = features()
    backbone.out_channels = 16
    anchors = AnchorGenerator(sizes=((16, 32),), aspect_ratios=((0.5, 1.0),))
    return RetinaNet(backbone, 2, anchor_generator=anchors, min_size=32, max_size=32)


def vision_transformer():
    return VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=10
    )


def swin(**options):
    return SwinTransformer(
        [4, 4], 16, depths=[1, 2], num_heads=[2, 2], window_size=[4, 4], num_classes=10, **options
    )


IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
TARGET = {"boxes": torch.tensor([[2.0, 2.0, 20.0, 20.0]]), "labels": torch.tensor([1])}
SMALL = {
    "vision transformer": Subject(vision_transformer, 32, (IMAGES[:1],), (IMAGES,)),
    "swin": Subject(swin, 32, (IMAGES[:1],), (IMAGES,)),
    "swin v2": Subject(lambda: swin(block=SwinTransformerBlockV2), 32, (IMAGES[:1],), (IMAGES,)),
    "segmentation": Subject(segmentation, 32, (IMAGES[:1],), (IMAGES,)),
    "detection": Subject(detection, 32, ([IMAGES[0]],), (list(IMAGES),), ([TARGET, TARGET],)),
}


@pytest.mark.parametrize("name", ["squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small", *SMALL])
def test_through_everything(name):
    row = check(name, SMALL.get(name))
    assert not row.failures
    assert row.multiply_adds == row.by_hand > 0
    assert row.kept.keys() == set(METHODS)
    assert all(0 < share < 1 for shares in row.kept.values() for share in shares)
    assert page([row]).endswith(" good |\n")


REFITTED = {
    "vision transformer": (vision_transformer, 6),
    # Swin multiplies by its attention's weights itself, so these are not called
    "swin": (swin, 9),
    "swin v2": (lambda: swin(block=SwinTransformerBlockV2), 12),
    "segmentation": (segmentation, 2),
}


@pytest.mark.parametrize("refit", ["layer", "sequential"])
@pytest.mark.parametrize("name", REFITTED)
@pytest.mark.filterwarnings("ignore::pruners.UnreachedWarning")
def test_refitted(name, refit):
    make, fitted = REFITTED[name]
    torch.manual_seed(0)
    network, images = make(), torch.rand(24, 3, 32, 32)
    if name == "vision transformer":
        nn.init.normal_(network.heads.head.weight)  # of zeros at first
    pruners.recalibrate_batchnorm(network, [images])
    artifact = pruners.compress(network, "alds", keep_ratio=0.5, data=images, refit=refit)
    assert artifact.refit.kept and 0 < artifact.refit.divergence < artifact.refit.divergence_without
    assert len(artifact.refit.output_errors) == fitted
    artifact.apply(network).eval()(IMAGES)


def test_what_fails_is_told():
    def broken():
        return nn.Sequential(nn.Flatten(), nn.Linear(40, 20))

    row = check("broken", Subject(broken, 32, (IMAGES[:1],), (IMAGES,)), methods=["svd"])
    assert row.failures[0].startswith(
        "dense: PrunerError: The network cannot be run on inputs of shape (1, 3, 32, 32)"
    )
    assert row.failures[1].startswith("svd: RuntimeError: ")
    assert "0 of 2 went through" in page([row, Row("dead", failures=["its process ended with -9"])])
