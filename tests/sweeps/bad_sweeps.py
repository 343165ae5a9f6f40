"""Wrong sweep files: how each differs from a right one, its exit code and all that is said about it."""

from dataclasses import dataclass

SWEEP = """\
name: base
task:
  network: lenet_300_100
  data: digits
training:
  epochs: 1
compression:
  method: alds
budget: {keep_ratio: 0.25}
parameters:
  training.lr: {min: 0.01, max: 0.1}
method: random
metric: {name: val/accuracy, goal: maximize}
run_cap: 2
"""
USERS = "tests.sweeps.users"
METHODS = "tests.pruners.users_methods"


@dataclass(frozen=True)
class BadSweep:
    """``edits`` are texts of ``base`` and what replaces them; ``said`` is a pattern for the whole message."""

    edits: tuple[tuple[str, str], ...]
    said: str
    exit_code: int = 2
    base: str = SWEEP


def _network(name: str, said: str) -> BadSweep:
    return BadSweep((("network: lenet_300_100", f"network: {name}"),), said)


def _data(name: str, said: str) -> BadSweep:
    return BadSweep((("data: digits", f"data: {name}"),), said)


def parameters(lines: str, said: str) -> BadSweep:
    return BadSweep((("  training.lr: {min: 0.01, max: 0.1}", lines),), said)


def after(line: str, more: str, said: str, exit_code: int = 2) -> BadSweep:
    """A line more after the one that is ``line``."""
    return BadSweep(((line, f"{line}\n{more}"),), said, exit_code)


def _method(name: str, said: str) -> BadSweep:
    place = r"s\.yaml:8: compression\.method: Method \S+?:? "
    return BadSweep((("method: alds", f"method: {name}"),), place + said)


def _budget(form: str, said: str, exit_code: int = 2) -> BadSweep:
    return BadSweep((("{keep_ratio: 0.25}", form),), said, exit_code)


def last(more: str, said: str, exit_code: int = 2) -> BadSweep:
    return after("run_cap: 2", more, said, exit_code)


NO_KEYS = {
    "no text": BadSweep(((SWEEP, ""),), r"s\.yaml: the file is empty\."),
    "a list": BadSweep(
        ((SWEEP, "- name"),), r"s\.yaml:1: expected keys and values at the top, as in `name: my_sweep`\."
    ),
    "no YAML": BadSweep(
        (("run_cap: 2", "run_cap: [2"),),
        r"s\.yaml:15: not valid YAML: expected ',' or '\]', but got '<stream end>'\.",
    ),
    "a tab": BadSweep(
        (("  epochs", "\tepochs"),),
        r"s\.yaml:6: not valid YAML: found character '\\t' that cannot start any token\.",
    ),
    "a key twice": last("run_cap: 3", r's\.yaml:15: the key "run_cap" stands twice \(first on line 14\)\.'),
    "a Python object": last(
        "seed: !!python/name:os.system x",
        r"s\.yaml:15: not valid YAML: could not determine a constructor .*\.",
    ),
}

TYPES = {
    "run_cap: two": BadSweep(
        (("run_cap: 2", "run_cap: two"),),
        r"s\.yaml:14: run_cap: should be a whole number, not 'two'\.",
    ),
    "run_cap: 0": BadSweep(
        (("run_cap: 2", "run_cap: 0"),), r"s\.yaml:14: run_cap: should be greater than or equal to 1\."
    ),
    "no run_cap": BadSweep((("run_cap: 2\n", ""),), r's\.yaml: the key "run_cap" is missing\.'),
    "name: a/b": BadSweep(
        (("name: base", "name: a/b"),),
        r"s\.yaml:1: name: 'a/b' names a folder and may hold letters, digits, dots, "
        r"dashes and underscores only\.",
    ),
    "name: 5": BadSweep((("name: base", "name: 5"),), r"s\.yaml:1: name: should be a valid string, not 5\."),
    "task: digits": BadSweep(
        (("task:\n  network: lenet_300_100\n  data: digits", "task: digits"),),
        r"s\.yaml:2: task: should be a valid dictionary, not 'digits'\.",
    ),
    "parameters: a list": BadSweep(
        (("parameters:\n  training.lr: {min: 0.01, max: 0.1}", "parameters: [training.lr]"),),
        r"s\.yaml:10: parameters: should be a valid dictionary, not \['training\.lr'\]\.",
    ),
    "epochs: -1": BadSweep(
        (("epochs: 1", "epochs: -1"),), r"s\.yaml:6: training\.epochs: should be greater than or equal to 0\."
    ),
    "epochs: 1.5": BadSweep(
        (("epochs: 1", "epochs: 1.5"),),
        r"s\.yaml:6: training\.epochs: should be a valid integer, got a number with a fractional part\.",
    ),
    "seed: -1": last("seed: -1", r"s\.yaml:15: seed: should be greater than or equal to 0\."),
    "gpus: -1": last(
        "resources: {gpus: -1}", r"s\.yaml:15: resources\.gpus: should be greater than or equal to 0\."
    ),
    "goal: up": BadSweep(
        (("goal: maximize", "goal: up"),),
        r"s\.yaml:13: metric\.goal: should be 'maximize' or 'minimize', not 'up'\.",
    ),
}

KEYS = {
    "runcap": BadSweep(
        (("run_cap", "runcap"),),
        r"s\.yaml:14: unknown key \"runcap\"; did you mean 'run_cap'\?\n"
        r"s\.yaml: the key \"run_cap\" is missing\.",
    ),
    "nme": BadSweep(
        (("name: base", "nme: base"),),
        r"s\.yaml:1: unknown key \"nme\"; did you mean 'name'\?\ns\.yaml: the key \"name\" is missing\.",
    ),
    "resources.cpu": last(
        "resources: {cpu: 1}", r"s\.yaml:15: unknown key \"resources\.cpu\"; did you mean 'cpus'\?"
    ),
    "program": last(
        "program: train.py",
        r's\.yaml:15: unknown key "program"; known are name, description, .*, parameters, \.\.\.\.',
    ),
    "training.lrr": BadSweep(
        (("training.lr", "training.lrr"),), r"s\.yaml:11: unknown key \"training\.lrr\"; did you mean 'lr'\?"
    ),
    "lr": BadSweep(
        (("training.lr", "lr"),),
        r's\.yaml:11: parameters: "lr" is no setting of a trial; '
        r"names begin with task, training, compression, budget, lottery, gradual, dynamic_sparse or "
        r"learning_compression, as in training\.lr\.",
    ),
    "schedule.warmups": after(
        "epochs: 1",
        "  schedule: {warmups: 1}",
        r"s\.yaml:7: unknown key \"training\.schedule\.warmups\"; did you mean 'warmup'\?",
    ),
}

NETWORKS = {
    "unknown network": _network(
        "lenet300", r"s\.yaml:2: there is no network 'lenet300'; did you mean lenet_300_100\?"
    ),
    "torchvision typo": _network(
        "torchvision:resnet81",
        r"s\.yaml:2: torchvision has no classifier or segmentation network 'resnet81'; "
        r"did you mean resnet18\?",
    ),
    "no such module": _network(
        "nosuch.module:net",
        r"s\.yaml:2: network nosuch\.module:net: importing nosuch\.module failed with ModuleNotFoundError: "
        r"No module named 'nosuch'\.",
    ),
    "no such factory": _network(
        f"{USERS}:netwrok",
        r"s\.yaml:2: network .*users:netwrok: tests\.sweeps\.users has no attribute 'netwrok'; "
        r"did you mean network\?",
    ),
    "factory that is a number": _network(
        f"{USERS}:not_callable",
        r"s\.yaml:2: network .*: not_callable is an int, not something that can be called\.",
    ),
    "factory that raises": _network(
        f"{USERS}:raises",
        r"s\.yaml:2: network factory tests\.sweeps\.users:raises raised RuntimeError: no GPU today\.",
    ),
    "factory that returns text": _network(
        f"{USERS}:returns_text",
        r"s\.yaml:2: network factory tests\.sweeps\.users:returns_text returned str, "
        r"not a torch\.nn\.Module\.",
    ),
    "network of another size": _network(
        f"{USERS}:takes_three_inputs",
        r"s\.yaml:2: network .*:takes_three_inputs cannot take inputs of digits, shape \(1, 8, 8\): "
        r"RuntimeError: .*\.",
    ),
    "too few classes": _network(
        f"{USERS}:three_classes",
        r"s\.yaml:2: network .*:three_classes returns a tensor of shape \(1, 3\) for one input; "
        r"logits \(1, 10\) are needed\.",
    ),
    "unknown option": after(
        "network: lenet_300_100",
        "  network_options: {widht: 3}",
        r"s\.yaml:2: network lenet_300_100 has no option 'widht'; known are dropout.*\.",
    ),
    "no such checkpoint": after(
        "network: lenet_300_100",
        "  checkpoint: nosuch.safetensors",
        r"s\.yaml:2: there is no checkpoint .*/nosuch\.safetensors\.",
    ),
    "unknown data": _data("digitz", r"s\.yaml:2: there is no data set 'digitz'; did you mean digits\?"),
    "data that is a number": _data(
        f"{USERS}:data_of_a_number",
        r"s\.yaml:2: data factory .*:data_of_a_number returned int, not a dict with train, validation, "
        r"test, a tuple of these, or a Data\.",
    ),
    "data without a test split": _data(
        f"{USERS}:data_without_test",
        r"s\.yaml:2: data factory .*:data_without_test returned no 'test'; a dict with train, validation, "
        r"test is needed\.",
    ),
    "unknown loss": after(
        "data: digits",
        "  loss: cross_entropi",
        r"s\.yaml:5: there is no loss 'cross_entropi'; did you mean cross_entropy\?",
    ),
    "no such loss function": after(
        "data: digits",
        f"  loss: {USERS}:los",
        r"s\.yaml:5: loss tests\.sweeps\.users:los: .* has no attribute .*",
    ),
    "smoothing of another loss": BadSweep(
        (("data: digits", "data: digits\n  loss: nll"), ("epochs: 1", "epochs: 1\n  label_smoothing: 0.1")),
        r"s\.yaml:8: label_smoothing belongs to the loss cross_entropy, not to nll\.",
    ),
}

COMPRESSION = {
    "unknown method": BadSweep(
        (("method: alds", "method: aldz"),),
        r"s\.yaml:8: compression\.method: There is no method 'aldz'; did you mean 'alds'\?",
    ),
    "a method of no module": _method("nowhere.mine:Rule", r"importing nowhere\.mine failed with .*"),
    "a method that is not there": _method(
        f"{METHODS}:FourthPowr", r"tests\.pruners\.users_methods has no .*; did you mean 'FourthPower'\?"
    ),
    "a method that is a function": _method(f"{METHODS}:function", r"is a function, not a subclass of .*\."),
    "an abstract method": _method(f"{METHODS}:Abstract", r"is abstract: it does not define .*\."),
    "a method that raises": _method(f"{METHODS}:Raising", r"raised RuntimeError: no licence found when .*\."),
    "a method with wrong options": _method(
        f"{METHODS}:WrongDefault", r"has an option with a default that it does not take: .*"
    ),
    "a method among the parameters": parameters(
        f"  compression.method: {{values: [alds, {METHODS}:Abstract]}}",
        r"s\.yaml:11: compression\.method: Method tests\.pruners\.users_methods:Abstract is abstract: .*",
    ),
    "a baseline that is no method": last(
        f"baselines: [{METHODS}:NoMethod]",
        r"s\.yaml:15: baselines: Method tests\.pruners\.users_methods:NoMethod is a class, not a .*\.",
    ),
    "a method that fails": BadSweep(
        (("method: alds", f"method: {METHODS}:Broken"),),
        r"s\.yaml:8: compression\.method: .*:Broken raised KeyError: 'no such thing'\.",
    ),
    "a method's own option": BadSweep(
        (("method: alds", f"method: {METHODS}:FirstLayersLess\n  options: {{bend: 0}}"),),
        r"s\.yaml:9: compression: bend must be a positive number, not 0\.",
    ),
    "no method": BadSweep(
        (("compression:\n  method: alds", "compression: {}"),),
        r's\.yaml:7: the key "compression\.method" is missing\.',
    ),
    "unknown option": after(
        "method: alds",
        "  options: {metrc: max}",
        r"s\.yaml:9: compression: alds has no option 'metrc'; did you mean 'metric'\?",
    ),
    "unknown metric": after(
        "method: alds",
        "  options: {metric: maxx}",
        r"s\.yaml:9: compression: metric 'maxx' is unknown; did you mean 'max'\?",
    ),
    "unknown layer": after(
        "method: alds",
        "  options: {exclude: [fc9]}",
        r"s\.yaml:9: compression: exclude: the network has no compressible layer 'fc9'; known are 1, 3, 5\.",
    ),
    "unknown baseline": last(
        "baselines: [svdd]",
        r"s\.yaml:15: baselines: There is no method 'svdd'; did you mean 'svd'\?",
    ),
    "baseline's option": last(
        "baselines:\n  - svd\n  - {method: alds, name: mine, options: {metric: maxx}}",
        r"s\.yaml:17: baselines: mine: compression: metric 'maxx' is unknown; did you mean 'max'\?",
    ),
    "baseline with options and no name": last(
        "baselines: [{method: alds, options: {metric: sum}}]",
        r"s\.yaml:15: baselines\.0: a baseline with options needs a name of its own\.",
    ),
    "two baselines of one name": last(
        "baselines: [svd, {method: alds, name: svd}]",
        r's\.yaml:15: baselines: two are called "svd"; give one a name of its own\.',
    ),
    "a baseline's key": last(
        "baselines: [{method: alds, nam: svd}]",
        r's\.yaml:15: unknown key "baselines\.0\.nam"; did you mean \'name\'\?',
    ),
    "unknown trainable": last(
        "trainable: lotery", r"s\.yaml:15: trainable: 'lotery' is no trainable; did you mean 'lottery'\?"
    ),
    "out of reach": _budget(
        "{keep_ratio: 0.0001}",
        r"s\.yaml:9: no choice of layers meets budget\.keep_ratio 0\.0001; the least possible is 0\.01741\.",
        exit_code=3,
    ),
    "too few parameters": _budget(
        "{parameters: 5}",
        r"s\.yaml:9: no choice of layers meets budget\.parameters 5; the least possible is 874\.",
        exit_code=3,
    ),
    "too few multiply-adds": _budget(
        "{flops_ratio: 0.00001}",
        r"s\.yaml:9: no choice of layers meets budget\.flops_ratio 1e-05; the least possible is 0\.01741\.",
        exit_code=3,
    ),
    "a time at a common share": BadSweep(
        (("{keep_ratio: 0.25}", "{latency_ratio: 0.5}"), ("method: alds", "method: svd")),
        r"s\.yaml:9: budget\.latency_ratio needs a method that chooses for each layer by itself, and svd "
        r"does not; of those that decompose layers alds, .*calibrated.* do\.",
    ),
    "keeps more than all": _budget(
        "{keep_ratio: 1.5}", r"s\.yaml:9: budget\.keep_ratio: should be less than or equal to 1\."
    ),
    "keeps nothing": _budget("{keep_ratio: 0}", r"s\.yaml:9: budget\.keep_ratio: should be greater than 0\."),
    "two budgets": _budget(
        "{keep_ratio: 0.25, parameters: 3}",
        r"s\.yaml:9: budget: give exactly one of keep_ratio, parameters, flops_ratio and latency_ratio, "
        r"not keep_ratio and parameters\.",
    ),
    "no budget": _budget(
        "{}",
        r"s\.yaml:9: budget: give exactly one of keep_ratio, parameters, flops_ratio and latency_ratio, "
        r"not none\.",
    ),
}

TRAINING = {
    "schedule: cosin": after(
        "epochs: 1",
        "  schedule: {name: cosin}",
        r"s\.yaml:7: training\.schedule\.name: should be 'constant', 'multistep', 'cosine', 'linear' or "
        r"'poly', not 'cosin'\.",
    ),
    "steps without milestones": after(
        "epochs: 1",
        "  schedule: {name: multistep}",
        r"s\.yaml:7: training\.schedule: a multistep schedule takes either milestones or every\.",
    ),
    "optimizer: sdg": after(
        "epochs: 1",
        "  optimizer: sdg",
        r"s\.yaml:7: training\.optimizer: there is no optimizer 'sdg'; did you mean sgd\?",
    ),
    "augment: mirror": after(
        "epochs: 1",
        "  augment: [mirror]",
        r"s\.yaml:7: training\.augment\.0: should be 'flip', 'crop' or 'shift', not 'mirror'\.",
    ),
}

GROUPS = {
    "file": NO_KEYS,
    "types": TYPES,
    "keys": KEYS,
    "task": NETWORKS,
    "compression": COMPRESSION,
    "training": TRAINING,
}
BAD_SWEEPS = {f"{group}: {name}": bad for group, table in GROUPS.items() for name, bad in table.items()}
