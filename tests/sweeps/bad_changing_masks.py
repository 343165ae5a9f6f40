"""Wrong sweep files of trainables whose mask changes while they train."""

from tests.sweeps.bad_sweeps import BadSweep

CHANGING = """\
name: changing
trainable: gradual
task: {network: lenet_300_100, data: digits}
training: {epochs: 2}
compression: {method: magnitude}
budget: {keep_ratio: 0.25}
gradual: {end: 1ep}
method: random
metric: {name: val/accuracy, goal: maximize}
run_cap: 2
"""
RIGL = CHANGING.replace("gradual\n", "dynamic_sparse\n").replace(
    "gradual: {end: 1ep}", "dynamic_sparse: {every: 2it}"
)


def _gradual(old: str, new: str, said: str) -> BadSweep:
    return BadSweep(((old, new),), said, 2, CHANGING)


def _rigl(old: str, new: str, said: str) -> BadSweep:
    return BadSweep(((old, new),), said, 2, RIGL)


BAD_CHANGING_MASKS = {
    "gradual: no section": _gradual(
        "gradual: {end: 1ep}\n",
        "",
        r's\.yaml: the key "gradual\.end" is missing\.',
    ),
    "gradual: its end too late": _gradual(
        "end: 1ep", "end: 3ep", r"s\.yaml:7: gradual\.end 3ep lies beyond the training's 18 steps\."
    ),
    "gradual: no place in a training": _gradual(
        "end: 1ep", "end: 1 epoch", r"s\.yaml:7: gradual\.end: '1 epoch' is no place in a training; .*"
    ),
    "gradual: a method that needs data": _gradual(
        "method: magnitude",
        "method: snip",
        r"s\.yaml:5: trainable gradual draws its mask again and again without data, "
        r"and method snip needs data and loss\.",
    ),
    "gradual: a method that decomposes": _gradual(
        "method: magnitude",
        "method: svd",
        r"s\.yaml:5: trainable gradual needs a method that removes single weights, and svd decomposes .*",
    ),
    "gradual: a control": _gradual(
        "{method: magnitude}",
        "{method: magnitude, control: shuffle}",
        r"s\.yaml:5: trainable gradual does not use compression\.control: its mask is drawn many times\.",
    ),
    "gradual: another's section": _gradual(
        "gradual: {end: 1ep}",
        "gradual: {end: 1ep}\ndynamic_sparse: {grow: random}",
        r"s\.yaml:8: trainable gradual takes no dynamic_sparse: "
        r"the section is that of trainable dynamic_sparse\.",
    ),
    "dynamic_sparse: an unknown way to grow": _rigl(
        "every: 2it", "grow: gradients", r"s\.yaml:7: dynamic_sparse\.grow: .*"
    ),
    "dynamic_sparse: moves too far apart": _rigl(
        "every: 2it",
        "every: 1ep, stop: 0.5",
        r"s\.yaml:7: dynamic_sparse\.every 1ep: no mask would move after the first step, as moving stops "
        r"after 9 of the training's 18 steps \(dynamic_sparse\.stop\)\.",
    ),
}
