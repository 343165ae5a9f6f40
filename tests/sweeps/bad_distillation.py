"""Wrong sweep files of retraining that follows the dense network."""

from tests.sweeps.bad_sparse_sweeps import AT_INIT
from tests.sweeps.bad_sweeps import BadSweep

METHOD = "  method: alds\n"


def _distillation(given: str, said: str, retrain_epochs: int = 1) -> BadSweep:
    lines = f"{METHOD}  retrain_epochs: {retrain_epochs}\n  distillation: {given}\n"
    return BadSweep(((METHOD, lines),), rf"s\.yaml:10: {said}")


BAD_DISTILLATION = {
    "distillation without retraining": _distillation(
        "{weight: 0.5}",
        r"distillation is of retraining, and compression\.retrain_epochs is 0\.",
        retrain_epochs=0,
    ),
    "distillation at no temperature": _distillation(
        "{temperature: 0}", r"compression\.distillation\.temperature: should be greater than 0\."
    ),
    "distillation of more than all": _distillation(
        "{weight: 1.5}", r"compression\.distillation\.weight: should be less than or equal to 1\."
    ),
    "distillation by an unknown key": _distillation(
        "{temprature: 2}",
        r"unknown key \"compression\.distillation\.temprature\"; did you mean 'temperature'\?",
    ),
    "distillation of values": BadSweep(
        (
            ("network: lenet_300_100", "network: tests.trainables.users_tasks:line_network"),
            ("data: digits", "data: tests.trainables.users_tasks:line_data\n  loss: mse"),
            (METHOD, f"{METHOD}  retrain_epochs: 1\n  distillation: {{}}\n"),
            ("val/accuracy, goal: maximize", "val/loss, goal: minimize"),
        ),
        r"s\.yaml:11: compression\.distillation needs a network that gives class scores, "
        r"\(N, classes, \.\.\.\)\.",
    ),
    "distillation of a network that was never trained": BadSweep(
        (("  method: random\n", "  method: random\n  distillation: {}\n"),),
        r"s\.yaml:7: trainable prune_at_init does not use compression\.distillation: it prunes before a "
        r"dense network is trained to its end\.",
        base=AT_INIT,
    ),
}
