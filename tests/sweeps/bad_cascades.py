"""Wrong sweep files of cascades."""

from tests.sweeps.bad_sparse_sweeps import AT_INIT, LOTTERY
from tests.sweeps.bad_sweeps import BadSweep

METHOD = "  method: alds\n"


def _cascade(lines: str, said: str, method: str = METHOD, budget: str = "keep_ratio: 0.25") -> BadSweep:
    edits = ((METHOD, method + lines), ("keep_ratio: 0.25", budget))
    return BadSweep(edits, rf"s\.yaml:{said}")


BAD_CASCADES = {
    "a cascade of no steps": _cascade(
        "  cascade: 0\n", r"9: compression\.cascade: should be greater than or equal to 1\."
    ),
    "a cascade of half a step": _cascade("  cascade: 1.5\n", r"9: compression\.cascade: .*"),
    "a cascade without retraining": _cascade(
        "  cascade: 2\n",
        r"9: compression\.cascade retrains the network after each step, and "
        r"compression\.retrain_epochs is 0\.",
    ),
    "a cascade of controls": _cascade(
        "  cascade: 2\n  retrain_epochs: 1\n  control: shuffle\n",
        r"11: control shuffle has no place in a cascade, whose steps go on from the method's own networks; "
        r"give compression\.cascade 1\.",
        method="  method: magnitude\n",
    ),
    "a step that keeps more than there is": _cascade(
        "  cascade: 2\n  retrain_epochs: 1\n  options: {layer_keep_ratio: {'1': 0.01}}\n",
        r"7: compression: The budget asks for 38616 weights of the other layers, but only 31000 are left to "
        r"keep\.",
        method="  method: magnitude\n",
        budget="parameters: 30000",
    ),
    "a cascade at initialisation": BadSweep(
        (("  method: random\n", "  method: random\n  cascade: 2\n"),),
        r"s\.yaml:7: trainable prune_at_init does not use compression\.cascade: its steps are retrained, and "
        r"here nothing is\.",
        base=AT_INIT,
    ),
    "a cascade of tickets": BadSweep(
        (("{method: magnitude}", "{method: magnitude, cascade: 2}"),),
        r"s\.yaml:5: trainable lottery does not use compression\.cascade: its levels are the steps\.",
        base=LOTTERY,
    ),
}
