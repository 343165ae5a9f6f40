"""Wrong sweep files of training and compressing in turn."""

from tests.sweeps.bad_sparse_sweeps import AT_INIT
from tests.sweeps.bad_sweeps import BadSweep

_METHOD = "  method: alds\n"
_LEARNING = f"{_METHOD}trainable: learning_compression\n"


def _section(given: str, said: str) -> BadSweep:
    return BadSweep(((_METHOD, f"{_LEARNING}learning_compression: {given}\n"),), rf"s\.yaml:10: {said}")


BAD_LEARNING_COMPRESSION = {
    "learning compression whose penalty falls": _section(
        "{growth: 0.5}", r"learning_compression\.growth: should be greater than or equal to 1\."
    ),
    "learning compression whose penalty overflows": _section(
        "{steps: 400, growth: 100}",
        r"learning_compression\.growth: in 400 steps by 100 the penalty grows beyond all numbers\.",
    ),
    "learning compression by an unknown key": _section(
        "{step: 3}", r"unknown key \"learning_compression\.step\"; did you mean 'steps'\?"
    ),
    "learning compression with a cascade": BadSweep(
        ((_METHOD, f"{_METHOD}  cascade: 3\ntrainable: learning_compression\n"),),
        r"s\.yaml:9: trainable learning_compression does not use compression\.cascade: "
        r"its steps approach the budget itself, in one network\.",
    ),
    "learning compression of single weights": BadSweep(
        (("prune_at_init", "learning_compression"),),
        r"s\.yaml:6: trainable learning_compression needs a method that decomposes layers, and random "
        r"removes single weights; those that do are .*l_rank.*\.",
        base=AT_INIT,
    ),
    "its section with another trainable": BadSweep(
        ((_METHOD, f"{_METHOD}learning_compression: {{steps: 3}}\n"),),
        r"s\.yaml:9: trainable compress takes no learning_compression: the section is that of trainable "
        r"learning_compression\.",
    ),
}
