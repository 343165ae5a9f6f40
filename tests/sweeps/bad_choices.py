"""Sweep files with constraints that cannot be, or that choose by what is not there."""

from tests.sweeps.bad_sweeps import SWEEP, BadSweep

LAST = "run_cap: 2\n"


def _constraints(entries: str, said: str) -> BadSweep:
    return BadSweep(((LAST, f"{LAST}constraints: [{entries}]\n"),), r"s\.yaml:15: " + said)


def _choose(form: str, said: str) -> BadSweep:
    return BadSweep(((LAST, f"{LAST}choose: {form}\n"),), r"s\.yaml:15: " + said)


BAD_CHOICES = {
    "a constraint on no metric": _constraints(
        "{metric: compress/latency, at_most: 2}",
        r"constraints\.0\.metric: 'compress/latency' is no metric of a trial; "
        r"did you mean 'compress/latency_ms'\?",
    ),
    "a constraint on another task's metric": _constraints(
        "{metric: val/acuracy, at_least: 0.9}",
        r"constraints\.0\.metric: 'val/acuracy' is no metric of a trial; did you mean 'val/accuracy'\?",
    ),
    "a constraint on what the task does not measure": _constraints(
        "{metric: val/f1, at_least: 0.9}",
        r"constraints\.0\.metric: the task does not measure val/f1; add f1 to task\.metrics\.",
    ),
    "a constraint on test": _constraints(
        "{metric: test/accuracy, at_least: 0.9}",
        r"constraints\.0\.metric: test/accuracy cannot be a constraint: "
        "validation selects, and the test split is read once at the end.",
    ),
    "a constraint of the other kind": _constraints(
        "{metric: compress/density, at_most: 0.5}",
        r"compress/density needs a method that removes single weights, and alds decomposes layers; .*",
    ),
    "a constraint without a bound": _constraints(
        "{metric: val/accuracy}",
        r"constraints\.0: give one of at_most, at_least and within; here is none of them\.",
    ),
    "a constraint with two bounds": _constraints(
        "{metric: val/accuracy, at_least: 0.5, within: 0.1}",
        r"constraints\.0: give one of at_most, at_least and within; here is at_least and within\.",
    ),
    "a negative latency": _constraints(
        "{metric: compress/latency_ms, at_most: -2}",
        r"constraints\.0: compress/latency_ms is never -2 or less\.",
    ),
    "a part of a parameter": _constraints(
        "{metric: compress/params, at_most: 0.5}",
        r"constraints\.0: compress/params is never 0\.5 or less\.",
    ),
    "a negative divergence": _constraints(
        "{metric: compress/divergence, at_most: -0.1}",
        r"constraints\.0: compress/divergence is never -0\.1 or less\.",
    ),
    "more than everything right": _constraints(
        "{metric: val/accuracy, at_least: 90}",
        r"constraints\.0: val/accuracy is a share and never 90; it lies between 0 and 1\.",
    ),
    "a point written as 1": _constraints(
        "{metric: val/accuracy, within: 1, of: dense}",
        r"constraints\.0: val/accuracy lies between 0 and 1: within 1 allows anything; one point is 0\.01\.",
    ),
    "a size within dense": _constraints(
        "{metric: compress/params, within: 0.1}",
        r"constraints\.0: within compares the task's metrics with the dense network's, not compress/params; "
        r"give at_most of compress/params_kept\.",
    ),
    "below dense by less than nothing": _constraints(
        "{metric: val/accuracy, within: -0.1}",
        r"constraints\.0\.within: should be greater than or equal to 0\.",
    ),
    "of what": _constraints(
        "{metric: val/accuracy, within: 0.1, of: densest}",
        r"constraints\.0\.of: should be 'dense', not 'densest'\.",
    ),
    "a text as a bound": _constraints(
        "{metric: val/accuracy, within: a point}",
        r"constraints\.0\.within: should be a number, not 'a point'\.",
    ),
    "two bounds of one side": _constraints(
        "{metric: val/loss, at_most: 1}, {metric: val/loss, at_most: 2}",
        r"constraints: val/loss is bounded twice the same way; leave one out\.",
    ),
    "two bounds that nothing keeps": _constraints(
        "{metric: val/loss, at_most: 1}, {metric: val/loss, at_least: 2}",
        r"constraints: val/loss cannot be at least 2 and at most 1\.",
    ),
    "constraints for CMA-ES": BadSweep(
        (
            ("method: random", "method: cmaes"),
            (LAST, f"{LAST}constraints: [{{metric: val/accuracy, within: 0.1}}]\n"),
        ),
        r"s\.yaml: the cmaes sampler knows no constraints; with constraints use tpe, gp, nsga2 or nsga3\.",
    ),
    "a training loss that there is none of": _constraints(
        "{metric: train/loss, at_most: 1}",
        r"train/loss is that of the retraining epochs, and compression\.retrain_epochs is 0\.",
    ),
    "nothing dense to compare with": BadSweep(
        (
            ("method: alds", "method: snip"),
            ("name: base", "name: base\ntrainable: prune_at_init"),
            (LAST, f"{LAST}constraints: [{{metric: val/accuracy, within: 0.1}}]\n"),
        ),
        r"s\.yaml:16: constraints: a trial is compared with its dense network, which trainable prune_at_init "
        r"does not train where the network or its training is searched\.",
    ),
    "choose in no way": _choose("{}", r"choose: give either smallest_within or best_on\."),
    "choose in two ways": _choose(
        "{smallest_within: 0.1, best_on: val/accuracy}",
        r"choose: give either smallest_within or best_on\.",
    ),
    "choose by no objective": _choose(
        "{best_on: val/loss}",
        r"choose: best_on: 'val/loss' is none of the objectives; known are val/accuracy\.",
    ),
    "choose within a point written as 1": _choose(
        "{smallest_within: 1}",
        r"choose\.smallest_within: val/accuracy lies between 0 and 1: within 1 allows anything; "
        r"one point is 0\.01\.",
    ),
    "choose by no key": _choose(
        "{smallest_withn: 0.1}",
        r'unknown key "choose\.smallest_withn"; did you mean \'smallest_within\'\?',
    ),
}

assert SWEEP.endswith(LAST)
