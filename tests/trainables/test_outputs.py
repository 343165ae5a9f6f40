"""Outputs that hold class scores beside other things, and the heads that are there to train a network."""

from collections import OrderedDict

import pytest
import torch
from torch.nn import functional
from torchvision.models.googlenet import GoogLeNetOutputs
from torchvision.models.inception import InceptionOutputs

import trainables
from trainables.config import TrainingConfig
from trainables.task import loss, networks
from trainables.task.metrics import BUILT_IN
from trainables.task.outputs import auxiliary_scores, class_scores
from trainables.training.optimizer import make
from trainables.training.update import update

SCORES = torch.randn(6, 4, 5, 3, generator=torch.Generator().manual_seed(0))
OTHER = torch.randn(6, 4, 5, 3, generator=torch.Generator().manual_seed(1))
LABELS = torch.randint(4, (6, 5, 3), generator=torch.Generator().manual_seed(2))
FORMS = {
    "tensor": (SCORES, []),
    "segmentation": (OrderedDict(out=SCORES, aux=OTHER), [0.5]),
    "without aux": (OrderedDict(out=SCORES), []),
    "transformers": ({"logits": SCORES, "attentions": (OTHER,)}, []),
    "googlenet": (GoogLeNetOutputs(SCORES, OTHER, OTHER), [0.3, 0.3]),
    "googlenet's without": (GoogLeNetOutputs(SCORES, None, None), []),
    "inception": (InceptionOutputs(SCORES, OTHER), [0.4]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["cross_entropy", "nll"])
def test_the_loss_of_scores_in_any_form(form: str, name: str) -> None:
    outputs, weights = FORMS[form]
    labels = LABELS.clone()
    labels[:, 0] = 255
    plain = getattr(functional, {"nll": "nll_loss"}.get(name, name))
    main, other = (float(plain(one, labels, ignore_index=255)) for one in (SCORES, OTHER))
    assert class_scores(outputs) is SCORES and [weight for weight, _ in auxiliary_scores(outputs)] == weights
    assert float(loss.resolve(name, ignored=255)(outputs, labels)) == pytest.approx(main)
    trained = loss.resolve(name, ignored=255, auxiliary=True)(outputs, labels)
    assert float(trained) == pytest.approx(main + sum(weights) * other, rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["accuracy", "top5_accuracy", "f1", "mean_iou"])
def test_metrics_of_scores_in_any_form(form: str, name: str) -> None:
    counted, plain = BUILT_IN[name](0), BUILT_IN[name](0)
    counted.update(FORMS[form][0], LABELS)
    plain.update(SCORES, LABELS)
    assert counted.compute() == plain.compute()


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(("name", "side"), [("googlenet", 32), ("lraspp_mobilenet_v3_large", 32)])
def test_torchvisions_networks_of_such_outputs_are_trained(name: str, side: int, precision: str) -> None:
    torch.manual_seed(0)
    network = networks.build(f"torchvision:{name}", {}, (1, side, side), 3).train()
    images = torch.randn(4, 1, side, side)
    labels = torch.randint(3, (4, side, side) if "lraspp" in name else (4,))
    training = TrainingConfig(lr=0.01, precision=precision)
    optimizer = make(network, training)
    criterion = loss.resolve("cross_entropy", auxiliary=True)
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    value, _ = update(network, optimizer, criterion, (images, labels), training)
    assert value.isfinite() and value.dtype == torch.float32
    still = [name for name, parameter in network.named_parameters() if torch.equal(parameter, before[name])]
    # with 32 pixels a feature map is a single one, so that BatchNorm leaves little: every head still learns
    assert not [name for name in still if "classifier" in name or name.startswith(("fc", "aux1.fc2"))]


def test_a_dictionary_of_other_things_is_refused() -> None:
    for given in ({"scores": SCORES}, (SCORES, OTHER)):
        with pytest.raises(trainables.TaskError, match="metric accuracy needs class scores"):
            BUILT_IN["accuracy"](-100).update(given, LABELS)
