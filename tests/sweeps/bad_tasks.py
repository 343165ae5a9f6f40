"""Sweep files whose keys are right and whose trials would fail: what is said before anything is trained."""

from tests.sweeps.bad_sweeps import BadSweep

WRONG = "tests.sweeps.wrong_tasks"


def _loss(name: str, said: str) -> BadSweep:
    return BadSweep(
        (("data: digits", f"data: digits\n  loss: {WRONG}:{name}"),),
        rf"s\.yaml:5: loss {WRONG}:{name} {said}",
    )


def _data(name: str, said: str, loss: str = "cross_entropy", line: int = 4) -> BadSweep:
    edit = ("data: digits", f"data: {WRONG}:{name}\n  loss: {loss}")
    return BadSweep((edit,), rf"s\.yaml:{line}: {said}")


def _network(name: str, said: str, line: int = 3, compression: str = "method: alds") -> BadSweep:
    edits = (("network: lenet_300_100", f"network: {WRONG}:{name}"), ("method: alds", compression))
    return BadSweep(edits, rf"s\.yaml:{line}: network {WRONG}:{name}{said}")


LOSSES = {
    "a loss for each example": _loss(
        "nonscalar", r"returns a tensor of shape \(4,\) for one batch; a scalar \(the mean .*\) is needed\."
    ),
    "a loss of shape (1,)": _loss(
        "of_shape_one", r"returns a tensor of shape \(1,\) for one batch; a scalar .* is needed\."
    ),
    "a loss that is a float": _loss("a_float", r"returns float for one batch; a scalar tensor is needed\."),
    "a loss that is nothing": _loss(
        "nothing", r"returns NoneType for one batch; a scalar tensor is needed\."
    ),
    "a loss without gradient": _loss(
        "detached", r"returns a tensor without gradient; it must be computed from the network's outputs .*\."
    ),
    "a loss of other outputs": _loss(
        "of_images",
        r"fails on outputs of shape \(4, 10\) and labels of shape \(4,\): RuntimeError: "
        r"shape .* is invalid .*\.",
    ),
    "a loss that is no number": _loss(
        "zero_over_zero", r"is nan on the first batch, for outputs .*, before anything is trained\."
    ),
}

_FINITE = r"has inputs that are no numbers \(NaN or infinity\)"
DATA = {
    "a label of -1": _data("minus_one", r"data .*:minus_one: train has the label -1; classes are 0 to 9\."),
    "a label that torch would ignore": _data(
        "minus_hundred", r"data .*: train has the label -100; classes are 0 to 9\."
    ),
    "a label beyond in validation": _data(
        "beyond_in_validation", r"data .*: validation has the label 10; classes are 0 to 9\."
    ),
    "a label beyond in test": _data(
        "beyond_in_test", r"data .*: test has the label 99; classes are 0 to 9\."
    ),
    "a label of -1 for one's own loss": _data(
        "minus_one",
        rf"loss {WRONG}:own_cross_entropy fails on .*: IndexError: .*\.",
        f"{WRONG}:own_cross_entropy",
        5,
    ),
    "inputs of NaN": _data("nan_inputs", rf"data .*: train {_FINITE}: 1 of 40, the first is number 31\."),
    "infinite inputs to test": _data(
        "infinite_test_inputs", rf"data .*: test {_FINITE}: 1 of 20, the first is number 5\."
    ),
    "inputs of NaN that stream": _data(
        "streamed_nan", rf"data .*: train {_FINITE}: 4 of 40, the first is number 3\."
    ),
    "a label of -1 that streams": _data(
        "streamed_label", r"data .*: validation has the label -1; classes are 0 to 9\."
    ),
}

NETWORKS = {
    "fails in train mode": _network(
        "train_fails", r" fails in train mode: RuntimeError: no mode to train in\."
    ),
    "takes one example": _network(
        "one_example_only", r" fails in train mode: RuntimeError: shape '\[1, 1, 8, 8\]' is invalid .*\."
    ),
    "outputs at two places": _network(
        "spatial_outputs",
        r" returns a tensor of shape \(1, 10, 2\) for one input; logits \(1, 10\) are needed\.",
        2,
    ),
    "fails in its backward pass": _network(
        "in_place",
        " cannot be trained with optimizer sgd and loss cross_entropy: RuntimeError: "
        r".* inplace operation.*\.",
    ),
    "compressed, fails in train mode": _network(
        "asks_for_its_layers",
        r", compressed by alds, fails in train mode: TypeError: first is no Linear any more\.",
        8,
        "method: alds\n  calibration_images: 0",
    ),
    "compressed, fails in eval mode": _network(
        "asks_when_evaluated",
        r", compressed by svd, fails in eval mode: TypeError: first is no Linear any more\.",
        8,
        "method: svd\n  calibration_images: 0",
    ),
    "frozen": _network("frozen", r" has no trainable parameter\."),
    "one of two choices": BadSweep(
        (
            ("network: lenet_300_100", f"network: {WRONG}:a_choice"),
            ("  training.lr: {min: 0.01, max: 0.1}", "  task.network_options.fails: {values: [false, true]}"),
        ),
        rf"s\.yaml:3: network {WRONG}:a_choice fails in train mode: RuntimeError: no mode to train in\.",
    ),
}

SETTINGS = {
    "nesterov without momentum": BadSweep(
        (("epochs: 1", "epochs: 1\n  momentum: 0\n  nesterov: true"),),
        r"s\.yaml:5: training: nesterov needs a momentum above 0\.",
    ),
    "searched nesterov without momentum": BadSweep(
        (
            ("epochs: 1", "epochs: 1\n  momentum: 0"),
            ("training.lr: {min: 0.01, max: 0.1}", "training.nesterov: {values: [true, false]}"),
        ),
        r"s\.yaml:5: training: nesterov needs a momentum above 0\.",
    ),
    "a warm-up beyond the training": BadSweep(
        (("epochs: 1", "epochs: 1\n  schedule: {name: cosine, warmup: 5}"),),
        r"s\.yaml:7: training\.schedule\.warmup 5 lasts longer than the 1 epochs of training\.",
    ),
}

GROUPS = {"loss": LOSSES, "data": DATA, "network": NETWORKS, "settings": SETTINGS}
BAD_TASKS = {f"{group}: {name}": bad for group, table in GROUPS.items() for name, bad in table.items()}
