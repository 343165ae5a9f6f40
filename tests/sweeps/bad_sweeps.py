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


def _lr(form: str, said: str) -> BadSweep:
    return BadSweep((("{min: 0.01, max: 0.1}", form),), said)


def _parameters(lines: str, said: str) -> BadSweep:
    return BadSweep((("  training.lr: {min: 0.01, max: 0.1}", lines),), said)


def _branches(values: str, said: str, more: str = "") -> BadSweep:
    return _parameters(f"  training.optimizer: {{values: {values}}}{more}", said)


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
        r"s\.yaml:14: unknown key \"runcap\"; did you mean 'run_cap'\? 1 more to mend after that\.",
    ),
    "nme": BadSweep(
        (("name: base", "nme: base"),),
        r"s\.yaml:1: unknown key \"nme\"; did you mean 'name'\? 1 more to mend after that\.",
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
    "a method among the parameters": _parameters(
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

SEARCH = {
    "test split as objective": BadSweep(
        (("val/accuracy", "test/accuracy"),),
        r"s\.yaml:13: metric\.name: test/accuracy cannot be optimised: validation selects, "
        r"and the test split is read once at the end\.",
    ),
    "unknown metric": BadSweep(
        (("val/accuracy", "val/acc"),),
        r"s\.yaml:13: metric\.name: 'val/acc' is no metric of a trial; did you mean 'val/accuracy'\?",
    ),
    "a metric that the task does not measure": BadSweep(
        (("val/accuracy", "val/f1"),),
        r"s\.yaml:13: metric\.name: the task does not measure val/f1; add f1 to task\.metrics\.",
    ),
    "no metric": BadSweep(
        (("metric: {name: val/accuracy, goal: maximize}\n", ""),),
        r"s\.yaml: give either metric \(one objective\) or metrics \(several\)\.",
    ),
    "the same objective twice": BadSweep(
        (
            (
                "metric: {name: val/accuracy, goal: maximize}",
                "metrics: [&a {name: val/loss, goal: minimize}, *a]",
            ),
        ),
        r"s\.yaml: metrics names the same metric twice\.",
    ),
    "cmaes of two objectives": BadSweep(
        (
            ("method: random", "method: cmaes"),
            (
                "metric: {name: val/accuracy, goal: maximize}",
                "metrics: [{name: val/loss, goal: minimize}, {name: compress/params, goal: minimize}]",
            ),
        ),
        r"s\.yaml: the cmaes sampler knows one objective; with several use tpe, nsga2, nsga3, gp, random, "
        r"qmc or grid\.",
    ),
    "unknown sampler": BadSweep(
        (("method: random", "method: tpee"),),
        r"s\.yaml:12: method: 'tpee' is no sampler; did you mean 'tpe'\?",
    ),
    "unknown sampler option": after(
        "method: random",
        "sampler_options: {foo: 1}",
        r"s\.yaml:13: the sampler random has no option 'foo'; there are none\.",
    ),
    "a sampler option of another type": BadSweep(
        (("method: random", "method: tpe\nsampler_options: {n_startup_trials: many}"),),
        r"s\.yaml:13: '[<>]' not supported between .*\.",
    ),
    "a sampler option out of range": BadSweep(
        (("method: random", "method: nsga2\nsampler_options: {population_size: 1}"),),
        r"s\.yaml:13: `population_size` must be greater than or equal to 2\.",
    ),
    "training loss without training": BadSweep(
        (("{name: val/accuracy, goal: maximize}", "{name: train/loss, goal: minimize}"),),
        r"s\.yaml:13: train/loss is that of the retraining epochs, and compression\.retrain_epochs is 0\.",
    ),
    "stopping after the end": BadSweep(
        (
            ("method: alds", "method: alds\n  retrain_epochs: 3"),
            ("run_cap: 2", "run_cap: 2\nearly_terminate: {type: asha, min_iter: 3}"),
        ),
        r"s\.yaml:16: nothing is stopped within the first 3 retraining epochs \(min_iter\), "
        r"and compression\.retrain_epochs is 3\.",
    ),
    "stopping every trial": BadSweep(
        (
            ("method: alds", "method: alds\n  retrain_epochs: 3"),
            ("run_cap: 2", "run_cap: 2\nearly_terminate: {type: asha, max_iter: 2}"),
        ),
        r"s\.yaml:16: every trial would be stopped after 2 retraining epochs \(max_iter\), "
        r"and compression\.retrain_epochs is 3\.",
    ),
    "a grid over a range": BadSweep(
        (("method: random", "method: grid"),),
        r"s\.yaml:12: a grid needs finitely many values, and training\.lr has a range; "
        r"give it values or a q\.",
    ),
    "min above max": _lr(
        "{min: 1.0, max: 0.1}", r"s\.yaml:11: parameters\.training\.lr: min 1 is above max 0\.1\."
    ),
    "min alone": _lr("{min: 0.01}", r"s\.yaml:11: parameters\.training\.lr: min and max belong together\."),
    "max: .inf": _lr(
        "{min: 0.01, max: .inf}", r"s\.yaml:11: parameters\.training\.lr\.max: should be a finite number\."
    ),
    "no values": _lr("{values: []}", r"s\.yaml:11: parameters\.training\.lr: values is empty\."),
    "an unknown name enqueued": last(
        "enqueue: [{training.lr: 0.1}, {training.lrr: 0.1}]",
        r's\.yaml:15: enqueue: "training\.lrr" is no parameter of this sweep; did you mean .training\.lr.\?',
    ),
    "a value outside its range enqueued": last(
        "enqueue:\n- training.lr: 0.5",
        r"s\.yaml:16: enqueue: training\.lr is drawn from 0\.01 to 0\.1, not 0\.5\.",
    ),
    "a text for a number enqueued": last(
        "enqueue:\n- training.lr: '0.05'", r"s\.yaml:16: enqueue: training\.lr is a number, not '0\.05'\."
    ),
    "a list for a number enqueued": last(
        "enqueue:\n- training.lr: [0.05]", r"s\.yaml:16: enqueue: training\.lr is a number, not \[0\.05\]\."
    ),
    "yes for a number enqueued": last(
        "enqueue: [{training.lr: yes}]", r"s\.yaml:15: enqueue: training\.lr is a number, not True\."
    ),
    "one mapping enqueued": last(
        "enqueue: {training.lr: 0.05}", r"s\.yaml:15: enqueue: should be a valid list, not .*\."
    ),
    "more enqueued than trials": last(
        "enqueue: [{training.lr: 0.02}, {training.lr: 0.03}, {training.lr: 0.04}]",
        r"s\.yaml:15: enqueue holds 3 configurations and run_cap is 2\.",
    ),
    "a constant enqueued": BadSweep(
        (
            ("  training.lr: {min: 0.01, max: 0.1}", "  training.lr: {value: 0.1}"),
            ("run_cap: 2", "run_cap: 2\nenqueue: [{training.lr: 0.1}]"),
        ),
        r"s\.yaml:15: enqueue: training\.lr is held at 0\.1; leave it out\.",
    ),
    "a broken number enqueued": BadSweep(
        (
            ("  training.lr: {min: 0.01, max: 0.1}", "  training.batch_size: {min: 32, max: 96, q: 32}"),
            ("run_cap: 2", "run_cap: 2\nenqueue: [{training.batch_size: 33}]"),
        ),
        r"s\.yaml:15: enqueue: training\.batch_size is drawn from 32 to 96 in steps of 32, not 33\.",
    ),
    "enqueued beside a grid": BadSweep(
        (
            ("{min: 0.01, max: 0.1}", "{values: [0.01, 0.1]}"),
            ("method: random", "method: grid"),
            ("run_cap: 2", "run_cap: 2\nenqueue: [{training.lr: 0.1}]"),
        ),
        r"s\.yaml:15: enqueue: a grid visits every point; leave enqueue out\.",
    ),
    "values enqueued that do not go together": BadSweep(
        (
            (
                "  training.lr: {min: 0.01, max: 0.1}",
                "  training.nesterov: {values: [true, false]}\n  training.momentum: {values: [0.9, 0]}",
            ),
            ("run_cap: 2", "run_cap: 2\nenqueue: [{training.nesterov: true, training.momentum: 0}]"),
        ),
        r"s\.yaml:16: enqueue: training: nesterov .*",
    ),
    "a budget enqueued that cannot be met": BadSweep(
        (
            ("budget: {keep_ratio: 0.25}\n", ""),
            ("  training.lr: {min: 0.01, max: 0.1}", "  budget.keep_ratio: {min: 0.0001, max: 0.9}"),
            ("run_cap: 2", "run_cap: 2\nenqueue: [{budget.keep_ratio: 0.0001}]"),
        ),
        r"s\.yaml:14: enqueue: this configuration is \d+% over its budget\.",
        3,
    ),
    "a date as a value": _lr(
        "{values: [2026-01-01]}",
        r"s\.yaml:11: '2026-01-01' is a date to YAML; put it in quotes if it is a text\.",
    ),
    "a date within a list": _lr(
        "{values: [[2026-01-01]]}",
        r"s\.yaml:11: '2026-01-01' is a date to YAML; put it in quotes if it is a text\.",
    ),
    "a value twice": _lr(
        "{values: [0.1, 0.1]}", r"s\.yaml:11: parameters\.training\.lr: values holds 0\.1 twice\."
    ),
    "a list twice": _lr(
        "{values: [[1], [1]]}", r"s\.yaml:11: parameters\.training\.lr: values holds '\[1\]' twice\."
    ),
    "a wrong augmentation among lists": _parameters(
        "  training.augment: {values: [[flip], [flip, crp]]}",
        r"s\.yaml:11: training\.augment.*crp.*",
    ),
    "a wrong key among mappings": _parameters(
        "  training.schedule: {values: [{name: cosine}, {nme: linear}]}",
        r"s\.yaml:11: unknown key \"training\.schedule\.nme\"; did you mean 'name'\?",
    ),
    "an unknown key beside a value": _branches(
        "[{value: sgd, paramters: {}}]",
        r's\.yaml:11: unknown key "parameters\.training\.optimizer\.values\.0\.paramters"; '
        r"did you mean .parameters.\?",
    ),
    "a wrong form under a value": _branches(
        "[{value: sgd, parameters: {training.momentum: {min: 1}}}, adam]",
        r"s\.yaml:11: parameters\.training\.optimizer\.values\.0\.parameters\.training\.momentum: "
        r"min and max belong together\.",
    ),
    "a wrong value in a second branch": _branches(
        "[{value: sgd, parameters: {training.lr: {value: 0.1}}}, "
        "{value: adam, parameters: {training.lr: {values: [1, -1]}}}]",
        r"s\.yaml:11: training\.lr: should be greater than 0\.",
    ),
    "no setting under a value": _branches(
        "[{value: sgd, parameters: {momentum: {value: 0.1}}}, adam]",
        r's\.yaml:11: parameters: "momentum" is no setting of a trial; names begin with .*',
    ),
    "a key under a value and beside it": _branches(
        "[{value: sgd, parameters: {training.lr: {value: 0.1}}}, adam]",
        r's\.yaml:12: parameters\.training\.lr: "training\.lr" is a parameter twice in one draw\.',
        "\n  training.lr: {values: [1, 2]}",
    ),
    "a key under values of two parameters": _branches(
        "[{value: sgd, parameters: {training.lr: {value: 0.1}}}, adam]",
        r"s\.yaml:12: parameters\.training\.batch_size\.1\.training\.lr: "
        r'"training\.lr" is a parameter twice in one draw\.',
        "\n  training.batch_size: {values: [32, {value: 64, parameters: {training.lr: {value: 0.2}}}]}",
    ),
    "a grid over parameters under a value": BadSweep(
        (
            (
                "  training.lr: {min: 0.01, max: 0.1}",
                "  training.optimizer: {values: [{value: sgd, parameters: {training.lr: {values: [1]}}}]}",
            ),
            ("method: random", "method: grid"),
        ),
        r"s\.yaml:12: a grid searches every parameter in every trial, "
        r"and training\.lr stands under a value of training\.optimizer; .*",
    ),
    "lists as values": _lr(
        "{values: [[1, 2]]}",
        r"s\.yaml:11: training\.lr: should be a valid number, not \[1, 2\]\.",
    ),
    "a value out of range": _lr(
        "{values: [0.1, -1]}", r"s\.yaml:11: training\.lr: should be greater than 0\."
    ),
    "two forms": _lr(
        "{value: 1, values: [2]}",
        r"s\.yaml:11: parameters\.training\.lr: give value, or values, or min and max, or parameters; "
        r"here is value and values\.",
    ),
    "a number as parameter": _lr(
        "0.1", r"s\.yaml:11: parameters\.training\.lr: expected keys with values below it, not 0\.1\."
    ),
    "log of zero": _lr(
        "{min: 0, max: 1, distribution: log_uniform_values}",
        r"s\.yaml:11: parameters\.training\.lr: log_uniform_values needs a min above 0, not 0\.",
    ),
    "log_uniform of values": _lr(
        "{min: 1, max: 1000, distribution: log_uniform}",
        r"s\.yaml:11: parameters\.training\.lr: log_uniform takes natural logarithms, "
        r"and e\^1000 is too large; "
        r"log_uniform_values takes values\.",
    ),
    "half an integer step": _lr(
        "{min: 1, max: 3, q: 0.5, distribution: int_uniform}",
        r"s\.yaml:11: parameters\.training\.lr: int_uniform needs whole numbers, not 1, 3 and q 0\.5\.",
    ),
    "a distribution Optuna has not": _lr(
        "{min: 0, max: 1, distribution: beta}",
        r"s\.yaml:11: parameters\.training\.lr\.distribution: "
        r"'beta' is no distribution that Optuna can sample; known are constant, .*\.",
    ),
    "normal": _lr(
        "{mu: 0, sigma: 1, distribution: normal}",
        r's\.yaml:11: unknown key "parameters\.training\.lr\.mu"; known are value, values, .*\. '
        r"2 more to mend after that\.",
    ),
    "tolerance without one": last(
        "per_layer: {tolerance: {min: 2, max: 3}}",
        r"s\.yaml:15: per_layer: the range of tolerance must hold 1, the method's own answer\.",
    ),
    "per_layer of no layer": last(
        'per_layer: {tolerance: {min: .5, max: 3}, layers: ["conv*"]}',
        r's\.yaml:15: per_layer\.layers: "conv\*" matches no compressible layer; known are 1, 3, 5\.',
    ),
    "per_layer of nothing": last(
        "per_layer: {}",
        r"s\.yaml:15: per_layer: per_layer takes either tolerance, or scale, or rank and num_subspaces\.",
    ),
    "per_layer of two networks": BadSweep(
        (
            ("  training.lr: {min: 0.01, max: 0.1}", "  task.network: {values: [lenet_300_100, conv4]}"),
            ("run_cap: 2", "run_cap: 2\nper_layer: {tolerance: {min: .5, max: 2}}"),
        ),
        r"s\.yaml:15: per_layer needs one fixed network; leave task out of the parameters\.",
    ),
    "a baseline of two budgets": BadSweep(
        (
            ("  training.lr: {min: 0.01, max: 0.1}", "  budget.keep_ratio: {values: [0.2, 0.4]}"),
            ("run_cap: 2", "run_cap: 2\nbaselines: [svd]"),
        ),
        r"s\.yaml:15: a baseline needs one network and one budget, and budget\.keep_ratio is searched; "
        r"leave one out\.",
    ),
    "unknown way to stop": last(
        "early_terminate: {type: ashaa}",
        r"s\.yaml:15: early_terminate\.type: 'ashaa' is no way to stop early; did you mean 'asha'\?",
    ),
    "nowhere to stop": last(
        "early_terminate: {type: asha}",
        r"s\.yaml:15: early_terminate stops trials between retraining epochs, "
        r"and compression\.retrain_epochs is 0\.",
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
    "search": SEARCH,
    "training": TRAINING,
}
BAD_SWEEPS = {f"{group}: {name}": bad for group, table in GROUPS.items() for name, bad in table.items()}
