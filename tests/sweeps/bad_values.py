"""Sweep files with values of the wrong kind or size, and files that are hardly YAML: what is said of each."""

from tests.sweeps.bad_sparse_sweeps import AT_INIT, LOTTERY
from tests.sweeps.bad_sweeps import SWEEP, BadSweep

HUGE = "99999999999999999999"
TOO_MUCH = r"should be less than or equal to 2147483647\."


def _line(old: str, new: str, said: str, exit_code: int = 2) -> BadSweep:
    return BadSweep(((old, new),), said, exit_code)


def _key(line: str, said: str, number: int = 15) -> BadSweep:
    """One more line at the end of the file, and what is said about its key."""
    return _line("run_cap: 2", f"run_cap: 2\n{line}", rf"s\.yaml:{number}: {said}")


def _training(line: str, said: str) -> BadSweep:
    return _line("epochs: 1", f"epochs: 1\n  {line}", rf"s\.yaml:7: training\.{said}")


def _option(method: str, option: str, said: str) -> BadSweep:
    edit = ("  method: random\n", f"  method: {method}\n  options:\n    {option}\n")
    return BadSweep((edit,), rf"s\.yaml:8: compression: {said}", base=AT_INIT)


def _layers(method: str, option: str, said: str) -> BadSweep:
    edit = ("  method: alds", f"  method: {method}\n  options:\n    {option}")
    return BadSweep((edit,), rf"s\.yaml:10: compression: {said}")


def _sampler(method: str, options: str, said: str) -> BadSweep:
    return _line("method: random", f"method: {method}\nsampler_options: {options}", rf"s\.yaml:13: {said}")


NUMBERS = {
    "keep_ratio: true": _line(
        "keep_ratio: 0.25",
        "keep_ratio: true",
        r"s\.yaml:9: budget\.keep_ratio: should be a number, not True\.",
    ),
    "keep_ratio: text": _line(
        "keep_ratio: 0.25", 'keep_ratio: "0.25"', r"s\.yaml:9: budget\.keep_ratio: should be a number, .*\."
    ),
    "keep_ratio: a list": _line(
        "keep_ratio: 0.25",
        "keep_ratio: [0.25]",
        r"s\.yaml:9: budget\.keep_ratio: should be a valid number, .*\.",
    ),
    "keep_ratio: nan": _line(
        "keep_ratio: 0.25", "keep_ratio: .nan", r"s\.yaml:9: budget\.keep_ratio: should be .*\."
    ),
    "parameters: 1e30": _line(
        "keep_ratio: 0.25", "parameters: 1e30", r"s\.yaml:9: budget\.parameters: should be .*\."
    ),
    "parameters: text": _line(
        "keep_ratio: 0.25",
        "parameters: many",
        r"s\.yaml:9: budget\.parameters: should be a whole number, .*\.",
    ),
    "budget: a number": _line(
        "{keep_ratio: 0.25}", "0.25", r"s\.yaml:9: budget: should be a valid dictionary, not 0\.25\."
    ),
    "run_cap: 1e30": _line("run_cap: 2", "run_cap: 1e30", r"s\.yaml:14: run_cap: should be .*\."),
    "run_cap: 10**20": _line("run_cap: 2", f"run_cap: {HUGE}", rf"s\.yaml:14: run_cap: {TOO_MUCH}"),
    "run_cap: true": _line(
        "run_cap: 2", "run_cap: true", r"s\.yaml:14: run_cap: should be a whole number, not True\."
    ),
    "run_cap: infinity": _line("run_cap: 2", "run_cap: .inf", r"s\.yaml:14: run_cap: should be .*\."),
    "run_cap: thousands of digits": _line(
        "run_cap: 2", "run_cap: " + "9" * 5000, r"s\.yaml: not valid YAML: .* digits.*\."
    ),
    "seed: 10**20": _key(f"seed: {HUGE}", rf"seed: {TOO_MUCH}"),
    "seed: text": _key('seed: "1"', r"seed: should be a whole number, not '1'\."),
    "replicates: 10**9": _key(
        "replicates: 1000000000", r"replicates: should be less than or equal to 10000\."
    ),
    "stop_after_failures: 0": _key(
        "stop_after_failures: 0", r"stop_after_failures: should be greater than or equal to 1\."
    ),
    "epochs: 10**20": _line(
        "epochs: 1", f"epochs: {HUGE}", r"s\.yaml:6: training\.epochs: should be less than or equal to .*\."
    ),
    "epochs: true": _line(
        "epochs: 1", "epochs: true", r"s\.yaml:6: training\.epochs: should be a whole number, not True\."
    ),
    "batch_size: 10**20": _training(f"batch_size: {HUGE}", rf"batch_size: {TOO_MUCH}"),
    "weight_decay: text": _training('weight_decay: "0.1"', r"weight_decay: should be a number, not '0\.1'\."),
    "weight_decay: infinity": _training("weight_decay: .inf", r"weight_decay: should be a finite number\."),
    "momentum: true": _training("momentum: true", r"momentum: should be a number, not True\."),
    "nesterov: 1": _training("nesterov: 1", r"nesterov: should be true or false, not 1\."),
    "nesterov: text": _training('nesterov: "yes"', r"nesterov: should be true or false, not 'yes'\."),
    "milestones: texts": _training(
        "schedule: {name: multistep, milestones: [a]}",
        r"schedule\.milestones\.0: should be a number, not 'a'\.",
    ),
    "gpus: true": _key("resources: {gpus: true}", r"resources\.gpus: should be a number, not True\."),
    "cpus: 10**20": _key(f"resources: {{cpus: {HUGE}}}", rf"resources\.cpus: {TOO_MUCH}"),
    "processes: 0": _key(
        "resources: {processes: 0}", r"resources\.processes: should be greater than or equal to 1\."
    ),
    "processes that share a GPU": _key(
        "resources: {gpus: 0.5, processes: 2}",
        r"resources: each of several processes computes on one GPU or none, and gpus is 0\.5\.",
    ),
    "more processes than examples": BadSweep(
        (
            ("epochs: 1", "epochs: 1\n  batch_size: 3"),
            ("run_cap: 2", "run_cap: 2\nresources: {processes: 4}"),
        ),
        r"s\.yaml:7: a batch of 3 cannot be spread among resources\.processes 4: "
        r"each needs an example of it\.",
    ),
    "screened by several processes": _line(
        "run_cap: 2",
        "run_cap: 2\nscreen: {trials: 4}\nresources: {processes: 2}",
        r"s\.yaml: screen trains the dense networks in one process; "
        r"leave out either screen or resources\.processes\.",
    ),
    "concurrent: text": _key(
        "resources: {concurrent: all}", r"resources\.concurrent: should be a whole number, not 'all'\."
    ),
    "eta: true": _key(
        "early_terminate: {type: asha, eta: true}",
        r"early_terminate\.eta: should be a whole number, not True\.",
    ),
    "tolerance: text": _key(
        'per_layer: {tolerance: {min: "0.5", max: 2}}',
        r"per_layer\.tolerance\.min: should be a number, not '0\.5'\.",
    ),
    "a layer's tolerance: text": _line(
        "  method: alds",
        '  method: alds\n  tolerance: {"1": "2"}',
        r"s\.yaml:9: compression\.tolerance\.1: should be a number, not '2'\.",
    ),
    "recalibrate_bn: true": _line(
        "  method: alds",
        "  method: alds\n  recalibrate_bn: true",
        r"s\.yaml:9: compression\.recalibrate_bn: should be a whole number, not True\.",
    ),
    "min: text": _line(
        "{min: 0.01, max: 0.1}",
        '{min: "0.01", max: 0.1}',
        r"s\.yaml:11: parameters\.training\.lr\.min: should be .*\.",
    ),
    "max: 10**400": _line(
        "max: 0.1", "max: 1" + "0" * 400, r"s\.yaml:11: parameters\.training\.lr\.max: .*\."
    ),
    "q: true": _line(
        "max: 0.1",
        "max: 0.1, q: true",
        r"s\.yaml:11: parameters\.training\.lr\.q: should be a number, not True\.",
    ),
    "values: text": _line(
        "{min: 0.01, max: 0.1}",
        '{values: ["0.1", 0.2]}',
        r"s\.yaml:11: training\.lr: should be a number, not '0\.1'\.",
    ),
    "levels: 10**20": BadSweep(
        (("levels: 3", f"levels: {HUGE}"),), r"s\.yaml:7: lottery\.levels: should be .*\.", base=LOTTERY
    ),
    "rate: text": BadSweep(
        (("rate: 0.2", 'rate: "0.2"'),),
        r"s\.yaml:8: lottery\.rate: should be a number, not '0\.2'\.",
        base=LOTTERY,
    ),
    "stability: 1": BadSweep(
        (("  rate: 0.2", "  rate: 0.2\n  stability: 1"),),
        r"s\.yaml:9: lottery\.stability: should be true or false, not 1\.",
        base=LOTTERY,
    ),
}

OPTIONS = {
    "exclude: null": _layers("alds", "exclude: null", r"exclude .*\."),
    "exclude: 3": _layers("svd", "exclude: 3", r"exclude .*\."),
    "metric: 3": _layers("alds", "metric: 3", r"metric .*(\.|\?)"),
    "subspaces: text": _layers("alds", "num_subspaces: a", r".*num_subspaces.*(\.|\?)"),
    "rounds: text": _option("random", 'rounds: "3"', r"rounds .*\."),
    "rounds: true": _option("random", "rounds: true", r"rounds .*\."),
    "allocation: a list": _option("random", "allocation: [erk]", r"allocation .*(\.|\?)"),
    "min_layer_keep: nan": _option("random", "min_layer_keep: .nan", r"min_layer_keep .*\."),
    "layer_keep_ratio: text": _option("random", "layer_keep_ratio: most", r"layer_keep_ratio.*\."),
    "damping: text": _option("mlprune", "damping: small", r"damping .*\."),
    "temperature: a list": _option("grasp", "temperature: [200]", r"temperature .*\."),
    "invert: text": _option("random", 'invert: "no"', r"invert .*\."),
}

SAMPLERS = {
    "population: a list": _sampler("nsga2", "{population_size: [1]}", r".*\."),
    "seed of the sampler": _sampler("tpe", "{seed: 3}", r"the sampler tpe has no option 'seed'; .*"),
    "options: a list": _sampler(
        "tpe", "[n_startup_trials]", r"sampler_options: should be a valid dictionary, .*\."
    ),
    "a grid of 10**12": BadSweep(
        (("method: random", "method: grid"), ("{min: 0.01, max: 0.1}", "{min: 1, max: 1000000000000}")),
        r"s\.yaml:12: a grid of training\.lr would have 1,000,000,000,000 values; "
        r"at most 1,000,000 are walked through\.",
    ),
    "a grid of many parameters": BadSweep(
        (
            ("method: random", "method: grid"),
            (
                "training.lr: {min: 0.01, max: 0.1}",
                "training.epochs: {min: 1, max: 2000}\n  training.batch_size: {min: 1, max: 2000}",
            ),
        ),
        r"s\.yaml:13: the grid would have 4,000,000 points; at most 1,000,000 are walked through\.",
    ),
}

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)
FILES = {
    "an anchor that holds itself": _key("description: &a [*a]", r"an anchor here holds itself\."),
    "an anchor that holds itself below": _key(
        "sampler_options: &a {b: {c: *a}}", r"an anchor here holds itself\."
    ),
    "aliases of aliases": BadSweep(
        ((SWEEP, LAUGHS),), r"s\.yaml:\d: more than 100,000 keys and values, those that aliases .*\."
    ),
    "lists in lists": _key(
        "description: " + "[" * 60 + "]" * 60, r"keys and lists are nested more than 50 deep\."
    ),
    "very many lists in lists": BadSweep(
        (("run_cap: 2", "run_cap: 2\ndescription: " + "[" * 5000 + "]" * 5000),),
        r"s\.yaml(:15)?: keys and lists are nested .*deep.*\.",
    ),
    "a date": _key(
        "description: 2026-11-26", r"'2026-11-26' is a date to YAML; put it in quotes if it is a text\."
    ),
    "a date among options": _line(
        "  data: digits",
        "  data: digits\n  data_options: {since: 2026-11-26}",
        r"s\.yaml:5: '2026-11-26' is a date to YAML; .*\.",
    ),
    "a key twice below": _line(
        "  data: digits", "  data: digits\n  data: digits", r's\.yaml:5: the key "data" stands twice .*\.'
    ),
    "a number as key": _key("7: 8", r"7: keys should be strings\."),
    "numbers as layers": _line(
        "  method: alds",
        "  method: alds\n  tolerance: {1: 2}",
        r"s\.yaml:9: compression\.tolerance\.1.*: should be a valid string.*\.",
    ),
    "a control character": BadSweep(
        (("run_cap: 2", 'run_cap: 2\ndescription: "\x07"'),),
        r"s\.yaml: not valid YAML: unacceptable character .*\.",
    ),
    "an unknown anchor": _key("description: *nowhere", r"not valid YAML: found undefined alias 'nowhere'\."),
    "two documents": BadSweep(
        (("run_cap: 2", "run_cap: 2\n---\nname: b"),),
        r"s\.yaml:\d+: not valid YAML: but found another document\.",
    ),
    "a set": _key("description: !!set {a}", r"'?.* is a set to YAML; .*\."),
}

GROUPS = {"numbers": NUMBERS, "options": OPTIONS, "samplers": SAMPLERS, "file": FILES}
BAD_VALUES = {f"{group}: {name}": bad for group, table in GROUPS.items() for name, bad in table.items()}
