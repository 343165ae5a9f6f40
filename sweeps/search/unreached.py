"""What no budget of a sweep counts."""

import pruners
from sweeps.search.feasibility import network_and_input
from sweeps.search.prepare import Prepared
from sweeps.sweep_file.sweep import METHOD
from trainables.users_code.methods import method_named


def unreached(prepared: Prepared) -> list[str]:
    """Return a sentence for each kind of method that runs: how much of the network it leaves out.

    There is none where that is little.
    """
    methods = [*prepared.sweep.values_of(METHOD), *(baseline.method for baseline in prepared.baselines)]
    # all methods of one kind reach the same weights, and the first stands for them
    of_kind = {method_named(method).kind: method for method in reversed(methods)}
    network, _ = network_and_input(prepared.sweep.sections(prepared.first_draw).task)
    said = [
        pruners.unreached_sentence(method, pruners.unreached(network, method)) for method in of_kind.values()
    ]
    return [sentence for sentence in said if sentence]
