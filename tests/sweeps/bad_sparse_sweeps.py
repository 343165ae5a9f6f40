"""Wrong sweep files of lotteries and of methods that remove single weights."""

from tests.sweeps.bad_sweeps import BadSweep

LOTTERY = """\
name: tickets
trainable: lottery
task: {network: lenet_300_100, data: digits}
training: {epochs: 2}
compression: {method: magnitude}
lottery:
  levels: 3
  rate: 0.2
method: random
metric: {name: val/accuracy, goal: maximize}
run_cap: 2
"""
AT_INIT = """\
name: at_init
trainable: prune_at_init
task: {network: lenet_300_100, data: digits}
training: {epochs: 2}
compression:
  method: random
budget: {keep_ratio: 0.25}
method: random
metric: {name: val/accuracy, goal: maximize}
run_cap: 2
"""
THOSE = r"those that do are (alds|magnitude), .*\."


def _lottery(old: str, new: str, said: str, exit_code: int = 2) -> BadSweep:
    return BadSweep(((old, new),), said, exit_code, LOTTERY)


def _after_rate(more: str, said: str, exit_code: int = 2) -> BadSweep:
    return _lottery("  rate: 0.2", f"  rate: 0.2\n  {more}", said, exit_code)


def _at_init(old: str, new: str, said: str, exit_code: int = 2) -> BadSweep:
    return BadSweep(((old, new),), said, exit_code, AT_INIT)


def _option(option: str, said: str, exit_code: int = 2) -> BadSweep:
    return _at_init("  method: random\n", f"  method: random\n  options: {{{option}}}\n", said, exit_code)


LOTTERIES = {
    "a budget": _lottery(
        "run_cap: 2",
        "run_cap: 2\nbudget: {keep_ratio: 0.1}",
        r"s\.yaml:12: trainable lottery takes no budget: its levels say how much is kept\.",
    ),
    "a searched budget": _lottery(
        "run_cap: 2",
        "run_cap: 2\nparameters:\n  budget.keep_ratio: {min: 0.1, max: 0.5}",
        r"s\.yaml:13: trainable lottery takes no budget: its levels say how much is kept\.",
    ),
    "no section": _lottery(
        "lottery:\n  levels: 3\n  rate: 0.2\n", "", r's\.yaml: the key "lottery\.levels" is missing\.'
    ),
    "a section without its trainable": _lottery(
        "trainable: lottery\n",
        "",
        r"s\.yaml:6: trainable compress takes no lottery: the section is that of trainable lottery\.",
    ),
    "levles": _lottery(
        "levels",
        "levles",
        r"s\.yaml:7: unknown key \"lottery\.levles\"; did you mean 'levels'\?\n"
        r"s\.yaml:6: the key \"lottery\.levels\" is missing\.",
    ),
    "no levels": _lottery(
        "levels: 3", "levels: 0", r"s\.yaml:7: lottery\.levels: should be greater than or equal to 1\."
    ),
    "a rate of one": _lottery("rate: 0.2", "rate: 1", r"s\.yaml:8: lottery\.rate: should be less than 1\."),
    "a place that is none": _after_rate(
        "rewind_to: 500",
        r"s\.yaml:9: lottery\.rewind_to: should be a valid string, not 500\.",
    ),
    "a place in words": _after_rate(
        "rewind_to: start",
        r"s\.yaml:9: lottery\.rewind_to: 'start' is no place in a training; "
        r"write 500it \(after 500 optimiser steps\) or 2ep \(after two epochs\)\.",
    ),
    "a place beyond the training": _after_rate(
        "rewind_to: 2ep", r"s\.yaml:9: lottery\.rewind_to 2ep lies beyond the training's 18 steps\."
    ),
    "a searched place beyond it": _lottery(
        "run_cap: 2",
        "run_cap: 2\nparameters:\n  lottery.rewind_to: {values: [0it, 1ep, 3ep]}",
        r"s\.yaml:13: lottery\.rewind_to 3ep lies beyond the training's 18 steps\.",
    ),
    "a mode": _after_rate(
        "mode: rewinding",
        r"s\.yaml:9: lottery\.mode: should be 'rewind', 'learning_rate' or 'fine_tune', not 'rewinding'\.",
    ),
    "a control": _after_rate(
        "controls: [shuffle]",
        r"s\.yaml:9: lottery\.controls\.0: should be 'reinit' or 'random', not 'shuffle'\.",
    ),
    "another control": _lottery(
        "{method: magnitude}",
        "{method: magnitude, control: shuffle}",
        r"s\.yaml:5: trainable lottery does not use compression\.control: "
        r"the controls of its tickets stand in lottery\.controls\.",
    ),
    "a layer's rate": _after_rate(
        "layer_rate: {otput: 0.1}",
        r"s\.yaml:9: lottery\.layer_rate: the network has no prunable layer 'otput'; did you mean 'output'\?",
    ),
    "two kinds of a layer's rate": BadSweep(
        (
            ("{method: magnitude}", "{method: magnitude, options: {layer_keep_ratio: {output: 0.5}}}"),
            ("  rate: 0.2", "  rate: 0.2\n  layer_rate: {output: 0.1}"),
        ),
        r"s\.yaml:9: lottery\.layer_rate and the option layer_keep_ratio both say what single layers keep; "
        r"give one\.",
        base=LOTTERY,
    ),
    "more than the levels leave": _lottery(
        "{method: magnitude}",
        "{method: magnitude, options: {min_layer_keep: 15000}}\nseed: 1",
        r"s\.yaml:7: no choice of layers meets the last level's keep_ratio 0\.512; "
        r"the least possible is 0\.6175\.",
        exit_code=3,
    ),
    "a transfer nowhere": _after_rate(
        "transfer: {}", r"s\.yaml:9: lottery\.transfer: transfer needs a task, a training or both\."
    ),
    "a transfer to data that are none": _after_rate(
        "transfer: {task: {network: lenet_300_100, data: digitz}}",
        r"s\.yaml:9: lottery\.transfer: there is no data set 'digitz'; did you mean digits\?",
    ),
    "a decomposition": _lottery(
        "method: magnitude",
        "method: alds",
        r"s\.yaml:5: trainable lottery needs a method that removes single weights, "
        f"and alds decomposes layers; {THOSE}",
    ),
    "per_layer": _lottery(
        "run_cap: 2",
        "run_cap: 2\nper_layer: {tolerance: {min: 0.5, max: 2}}",
        r"s\.yaml:12: per_layer needs a method that decomposes layers, "
        f"and magnitude removes single weights; {THOSE}",
    ),
    "stopping after the levels": _lottery(
        "run_cap: 2",
        "run_cap: 2\nearly_terminate: {type: asha, min_iter: 3}",
        r"s\.yaml:12: nothing is stopped within the first 3 levels \(min_iter\), and lottery\.levels is 3\.",
    ),
    "a baseline of two lotteries": _lottery(
        "run_cap: 2",
        "run_cap: 2\nbaselines: [random]\nparameters:\n  lottery.rate: {values: [0.2, 0.4]}",
        r"s\.yaml:12: a baseline needs one network and one budget, and lottery\.rate is searched; "
        r"leave one out\.",
    ),
    "a baseline that decomposes": _lottery(
        "run_cap: 2",
        "run_cap: 2\nbaselines: [svd]",
        r"s\.yaml:12: trainable lottery needs a method that removes single weights, "
        f"and svd decomposes layers; {THOSE}",
    ),
}

MASKS = {
    "retraining": _at_init(
        "  method: random\n",
        "  method: random\n  retrain_epochs: 3\n",
        r"s\.yaml:7: trainable prune_at_init does not use compression\.retrain_epochs: "
        r"after pruning it trains for training\.epochs\.",
    ),
    "recalibration": BadSweep(
        (("prune_at_init", "early_bird"), ("  method: random\n", "  method: random\n  recalibrate_bn: 64\n")),
        r"s\.yaml:7: trainable early_bird does not use compression\.recalibrate_bn: "
        r"training after pruning estimates BatchNorm's statistics anyway\.",
        base=AT_INIT,
    ),
    "early_bird without training": BadSweep(
        (("prune_at_init", "early_bird"), ("epochs: 2", "epochs: 0")),
        r"s\.yaml:2: trainable early_bird watches a training from its start; give training\.epochs, "
        r"and no checkpoint\.",
        base=AT_INIT,
    ),
    "multiply-adds": _at_init(
        "keep_ratio",
        "flops_ratio",
        r"s\.yaml:7: budget\.flops_ratio needs a method that decomposes layers or removes channels, "
        f"and random removes single weights; {THOSE}",
    ),
    "a time": _at_init(
        "keep_ratio",
        "latency_ratio",
        r"s\.yaml:7: budget\.latency_ratio needs a method that decomposes layers or removes channels, "
        f"and random removes single weights; {THOSE}",
    ),
    "a tolerance": _at_init(
        "  method: random\n",
        "  method: random\n  tolerance: {'1': 2}\n",
        r"s\.yaml:7: compression\.tolerance needs a method that decomposes layers, "
        f"and random removes single weights; {THOSE}",
    ),
    "a control of a decomposition": BadSweep(
        (("  method: alds", "  method: alds\n  control: shuffle"),),
        r"s\.yaml:9: control shuffle needs a method that removes single weights, "
        f"and alds decomposes layers; {THOSE}",
    ),
    "density of a decomposition": BadSweep(
        (("val/accuracy, goal: maximize", "compress/density, goal: minimize"),),
        r"s\.yaml:13: compress/density needs a method that removes single weights, "
        f"and alds decomposes layers; {THOSE}",
    ),
    "error of a mask": _at_init(
        "val/accuracy, goal: maximize",
        "compress/error, goal: minimize",
        r"s\.yaml:9: compress/error needs a method that decomposes layers, "
        f"and random removes single weights; {THOSE}",
    ),
    "a searched method": _at_init(
        "run_cap: 2",
        "run_cap: 2\nparameters:\n  compression.control: {values: [none, shuffle]}\n  compression.method: "
        "{values: [svd, alds]}",
        r"s\.yaml:12: control shuffle needs a method that removes single weights, "
        f"and svd decomposes layers; {THOSE}",
    ),
    "all and more": _at_init(
        "keep_ratio: 0.25",
        "parameters: 60000",
        r"s\.yaml:7: budget\.parameters 60000 is more than the network's 50200 prunable weights\.",
    ),
    "unknown option": _option(
        "alocation: erk",
        r"s\.yaml:7: compression: random has no option 'alocation'; did you mean 'allocation'\?",
    ),
    "unknown allocation": _option(
        "allocation: erc", r"s\.yaml:7: compression: allocation 'erc' is unknown; did you mean 'erk'\?"
    ),
    "measured before training": _option(
        "allocation: measured",
        r"s\.yaml:2: trainable prune_at_init compresses a network without training, .*: allocation measured "
        r"is for networks that are trained\.",
    ),
    "refit before training": _option(
        "refit: sequential",
        r"s\.yaml:2: trainable prune_at_init .*: refit sequential is for networks that are trained\.",
    ),
    "no images to fit to": BadSweep(
        (
            ("trainable: prune_at_init", "trainable: compress"),
            ("  method: random\n", "  method: random\n  options: {refit: layer}\n  calibration_images: 0\n"),
        ),
        r"s\.yaml:8: refit layer needs compression\.calibration_images, which are 0\.",
        2,
        AT_INIT,
    ),
    "scale without curves": _option(
        "scale: {fc1: 2.0}", r"s\.yaml:7: compression: scale multiplies curves of .*; global has none\."
    ),
    "a method's unknown value": _at_init(
        "  method: random\n",
        "  method: obd\n  options: {diagonal: fischer}\n",
        r"s\.yaml:7: compression: diagonal 'fischer' is unknown; did you mean 'fisher'\?",
    ),
    "a method's value out of bounds": _at_init(
        "  method: random\n",
        "  method: grasp\n  options: {temperature: 0}\n",
        r"s\.yaml:7: compression: temperature must be a positive number, not 0\.",
    ),
    "unknown layer": _option(
        "exclude: [fc9]",
        r"s\.yaml:7: compression: exclude: the network has no prunable layer 'fc9'; known are 1, 3, 5\.",
    ),
    "unknown layer to keep": _option(
        "layer_keep_ratio: {outputs: 1.0}",
        r"s\.yaml:7: compression: layer_keep_ratio: the network has no prunable layer 'outputs'; "
        r"did you mean 'output'\?",
    ),
    "rounds": _option(
        "rounds: 0", r"s\.yaml:7: compression: rounds must be a whole number of at least 1, not 0\."
    ),
    "out of reach": BadSweep(
        (("  method: random\n", "  method: random\n  options: {min_layer_keep: 900}\n"), ("0.25", "0.01")),
        r"s\.yaml:8: no choice of layers meets budget\.keep_ratio 0\.01; the least possible is 0\.05378\.",
        exit_code=3,
        base=AT_INIT,
    ),
}

RETENTION = {
    "unknown networks": BadSweep(
        (("run_cap: 2", "run_cap: 2\nretention: {networks: front}"),),
        r"s\.yaml:15: retention\.networks: should be 'all' or 'best', not 'front'\.",
    ),
    "no days": BadSweep(
        (("run_cap: 2", "run_cap: 2\nretention: {trajectories: 0}"),),
        r"s\.yaml:15: retention\.trajectories: forever, study, or a number of days above 0, not 0\.",
    ),
    "no such time": BadSweep(
        (("run_cap: 2", "run_cap: 2\nretention: {trajectories: always}"),),
        r"s\.yaml:15: retention\.trajectories: forever, study, or a number of days above 0, not 'always'\.",
    ),
}

_GROUPS = {"lottery": LOTTERIES, "masks": MASKS, "retention": RETENTION}
BAD_SPARSE_SWEEPS = {
    f"{group}: {name}": bad for group, table in _GROUPS.items() for name, bad in table.items()
}
