"""Which nodes are avoided: by examples, and by random histories against the rule said in other words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.running.bad_nodes import TRIALS, BadNodes
from sweeps.running.retries import address_in

NODES = ("a", "b", "c")
EVENTS = st.lists(st.tuples(st.sampled_from("12345"), st.sampled_from(NODES), st.booleans()), max_size=25)


def history(events: list[tuple[str, str, bool]]) -> BadNodes:
    nodes = BadNodes()
    for trial, node, has_died in events:
        if has_died:
            nodes.died(trial, node)
        else:
            nodes.ended(node)
    return nodes


def deaths_of(trials: str, node: str) -> list[tuple[str, str, bool]]:
    return [(trial, node, True) for trial in trials]


ENDED_ON_B = [("9", "b", False)]


@pytest.mark.parametrize(
    ("events", "bad"),
    [
        (deaths_of("123", "a") + ENDED_ON_B, {"a"}),
        (deaths_of("1", "a") + ENDED_ON_B + deaths_of("23", "a"), {"a"}),
        (deaths_of("12", "a") + ENDED_ON_B, set()),  # too few
        (deaths_of("1111", "a") + ENDED_ON_B, set()),  # one and the same trial
        (deaths_of("123", "a"), set()),  # nobody did better
        (ENDED_ON_B + deaths_of("123", "a"), set()),  # nor since
        ([*deaths_of("12", "a"), ("8", "a", False), *deaths_of("3", "a"), *ENDED_ON_B], set()),
        (deaths_of("123", "a") + deaths_of("3", "c") + ENDED_ON_B, set()),  # the third dies everywhere
        (deaths_of("123", "a") + deaths_of("456", "c") + ENDED_ON_B, {"a", "c"}),
    ],
)
def test_a_node_is_bad_where_trials_die_that_die_nowhere_else(
    events: list[tuple[str, str, bool]], bad: set[str]
) -> None:
    assert history(events).bad == bad


@given(EVENTS)
def test_a_node_is_bad_by_what_came_after_the_last_trial_that_ended_on_it(
    events: list[tuple[str, str, bool]],
) -> None:
    def is_bad(node: str) -> bool:
        last = max((i for i, (_, where, died) in enumerate(events) if where == node and not died), default=-1)
        after = events[last + 1 :]
        deaths = [i for i, (_, where, died) in enumerate(after) if where == node and died]
        better = any(not died for _, _, died in after[deaths[0] :]) if deaths else False
        elsewhere = {trial for trial, where, died in events if died and where != node}
        return better and len({after[i][0] for i in deaths} - elsewhere) >= TRIALS

    assert history(events).bad == {node for node in NODES if is_bad(node)}


@given(EVENTS, st.sampled_from("12345"), st.sets(st.sampled_from(NODES), min_size=1))
def test_a_node_is_always_left_to_run_on(
    events: list[tuple[str, str, bool]], trial: str, usable: set[str]
) -> None:
    nodes = history(events)
    assert usable - nodes.avoided(trial, usable)
    assert usable - nodes.avoided(None, usable)


def test_a_trial_is_tried_again_where_it_did_not_die() -> None:
    nodes = history(deaths_of("1", "a"))
    assert nodes.avoided("1", {"a", "b"}) == {"a"} and nodes.avoided("2", {"a", "b"}) == set()
    assert nodes.avoided("1", {"a"}) == set()
    nodes.died("1", "b")
    assert nodes.avoided("1", {"a", "b"}) == set() and nodes.avoided("1", {"a", "b", "c"}) == {"a", "b"}


def test_a_bad_node_is_avoided_by_all_and_before_the_place_of_one_death() -> None:
    nodes = history(deaths_of("123", "a") + ENDED_ON_B + deaths_of("4", "b"))
    assert nodes.avoided("5", set(NODES)) == {"a"} and nodes.avoided("4", set(NODES)) == {"a", "b"}
    assert nodes.avoided("4", {"a", "b"}) == {"a"}, (
        "the bad one is left out though the trial died on the other"
    )


def test_addresses_in_rays_words() -> None:
    assert address_in("\tpid: 71\n\tip: 10.0.0.3\nThe actor died because its worker") == "10.0.0.3"
    assert address_in("ray::TrialTrainable.__init__() (pid=7, ip=10.0.0.3, actor_id=5a)") == "10.0.0.3"
    assert address_in("Memory on the node (IP: 10.0.0.3, ID: 9f) where the task was") == "10.0.0.3"
    assert address_in("a zip: file, and no address") is None
