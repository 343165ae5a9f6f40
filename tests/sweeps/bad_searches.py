"""Sweep files whose search is wrong: parameters, what hangs on others, screening, what is tried first."""

from tests.sweeps.bad_sweeps import BadSweep, after, last, parameters


def _lr(form: str, said: str) -> BadSweep:
    return BadSweep((("{min: 0.01, max: 0.1}", form),), said)


def _branches(values: str, said: str, more: str = "") -> BadSweep:
    return parameters(f"  training.optimizer: {{values: {values}}}{more}", said)


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
    "a wrong augmentation among lists": parameters(
        "  training.augment: {values: [[flip], [flip, crp]]}",
        r"s\.yaml:11: training\.augment.*crp.*",
    ),
    "a wrong key among mappings": parameters(
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
        r's\.yaml:11: unknown key "parameters\.training\.lr\.mu"; known are value, values, .*\.\n'
        r's\.yaml:11: unknown key "parameters\.training\.lr\.sigma"; known are value, values, .*\.\n'
        r"s\.yaml:11: parameters\.training\.lr\.distribution: 'normal' is no distribution that Optuna can "
        r"sample; did you mean 'uniform'\?",
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

BAD_SEARCHES = {f"search: {name}": bad for name, bad in SEARCH.items()}
