"""Prune more and more while training."""

from dataclasses import replace
from typing import final

from trainables import training_step
from trainables.config import TrialConfig
from trainables.errors import Refused, TaskError
from trainables.recipes.dense import dense
from trainables.recipes.pruning import pruning
from trainables.recipes.retraining import retraining
from trainables.recipes.trainable import TRAINS_ANEW, Reported, Trainable, sections_of_others
from trainables.stages import Compress, Gradual, Recipe, Train
from trainables.users_code.methods import method_named

_RECALIBRATE = "compression.recalibrate_bn"


@final
class GradualPruning(Trainable):
    """Prune while training (Zhu & Gupta 2017, arXiv 1710.01878): while the dense network is trained, or while
    it is retrained.
    """

    name = "gradual"
    reports = Reported("epochs", "training.epochs", first="compression.retrain_epochs")
    unused = sections_of_others("gradual") | {
        _RECALIBRATE: TRAINS_ANEW[_RECALIBRATE],
        "compression.cascade": "it prunes in many steps anyway",
        "compression.control": "its mask is drawn many times",
    }
    kind = "mask"
    trains_dense = False

    def stages(self, config: TrialConfig, steps_per_epoch: int) -> Recipe:
        """Return the stages: with ``retrain_epochs`` the dense network and these, in which it is pruned, else
        the one training, from the initialisation or the checkpoint.

        Raises `TaskError` where nothing is trained, for a schedule that does not fit into the training, and
        for a method that needs data.
        """
        whole = config.training.epochs * steps_per_epoch
        before, train = dense(config, steps_per_epoch), retraining(config, steps_per_epoch)
        if train is None:
            before, train = (), Train(0, whole, whole)
        if train.start == train.stop:
            raise TaskError(
                "trainable gradual prunes while it trains; "
                "give training.epochs or compression.retrain_epochs."
            )
        return (*before, replace(train, changing=_gradual(config, train, steps_per_epoch)))


def _gradual(config: TrialConfig, train: Train, steps_per_epoch: int) -> Gradual:
    section = config.gradual
    if section is None:
        raise TaskError("trainable gradual needs a gradual section, with its end at least.")
    begin, end, every = (
        training_step.steps(text, steps_per_epoch) for text in (section.begin, section.end, section.every)
    )
    length = train.stop - train.start
    if end > length:
        raise Refused(
            ("gradual", "end"), f"gradual.end {section.end} lies beyond the training's {length} steps."
        )
    if begin >= end:
        raise Refused(
            ("gradual", "begin"),
            f"gradual.begin {section.begin} is not before gradual.end {section.end}: "
            "nothing lies between them.",
        )
    if not every:
        raise Refused(("gradual", "every"), f"gradual.every {section.every} is no step; give 1it or more.")
    return Gradual(_without_data(config), train.start + begin, train.start + end, every)


def _without_data(config: TrialConfig) -> Compress:
    """Return the compression of every draw. Raises `Refused` for one that needs data."""
    (compress,) = pruning(config)
    assert isinstance(compress, Compress)
    method = method_named(compress.method)
    if method.kind != "mask":
        return compress  # which pruners refuse in their own words
    draws = "trainable gradual draws its mask again and again without data"
    if {"data", "loss"} & set(method.needs):
        raise Refused(
            ("compression", "method"),
            f"{draws}, and method {method.name} needs {' and '.join(method.needs)}.",
        )
    if compress.calibration_images:
        raise Refused(("compression", "options"), f"{draws}, and these options make use of some.")
    return compress
