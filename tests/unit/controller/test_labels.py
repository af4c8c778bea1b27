"""Labels on the way from one state to another."""

from __future__ import annotations

import itertools

from controller.decide import decide
from controller.view import Label, SetLabel, View
from pairsim.model.assignment import Role
from tests.unit.controller.views import assignment, pair, process, replica, silent, spare, view

FIRST = assignment("sim-1", "sim-2", "witness-1")
WITNESS = pair(FIRST)[2]


def steps(seen: View) -> list[dict[str, Label]]:
    """The labels after every single change."""
    labels, found = dict(seen.labels), []
    for action in decide(seen):
        if isinstance(action, SetLabel):
            labels[action.replica] = action.label
            found.append(dict(labels))
    return found


def active(name: str, term: int) -> Label:
    return Label("west", Role.ACTIVE, term)


def test_there_are_never_two_actives_on_the_way() -> None:
    roles = (Role.ACTIVE, Role.PASSIVE, Role.JOINING)
    for old, new, terms in itertools.product(
        itertools.product(roles, repeat=2), itertools.product(roles, repeat=2), ((1, 2), (2, 1))
    ):
        if old == (Role.ACTIVE, Role.ACTIVE):
            continue
        names = ("sim-1", "sim-2")
        now = [process(n, replica(n, FIRST, role, term=term)) for n, role, term in zip(names, new, terms, strict=True)]
        before = {n: Label("west", role, 1) for n, role in zip(names, old, strict=True)}
        for labels in steps(view(*now, WITNESS, recorded=(FIRST,), labels=before)):
            assert sum(label.role is Role.ACTIVE for label in labels.values()) <= 1


def test_a_pair_and_a_spare_are_labelled_as_what_they_are() -> None:
    final = steps(view(*pair(FIRST), spare("sim-3"), recorded=(FIRST,)))[-1]
    assert final == {
        "sim-1": active("sim-1", 1),
        "sim-2": Label("west", Role.PASSIVE, 1),
        "sim-3": Label("", Role.SPARE, 0),
    }


def test_a_lower_term_never_takes_the_label() -> None:
    stale = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE, term=3))
    seen = view(stale, silent("sim-2", 1), WITNESS, recorded=(FIRST,), labels={"sim-2": active("sim-2", 5)})
    assert steps(seen)[-1]["sim-1"].role is Role.PASSIVE


def test_a_lower_term_does_not_get_the_label_that_a_higher_one_had_to_give_up() -> None:
    stale = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE, term=3))
    later = process("sim-2", replica("sim-2", FIRST, Role.PASSIVE, term=5))
    before = {"sim-1": Label("west", Role.PASSIVE, 3), "sim-2": Label("west", Role.PASSIVE, 5)}
    assert steps(view(stale, later, WITNESS, recorded=(FIRST,), labels=before)) == []
    assert steps(view(stale, silent("sim-2", 1), WITNESS, recorded=(FIRST,), labels=before)) == []


def test_who_cannot_be_reached_loses_the_label_to_a_higher_term() -> None:
    newer = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE, term=6))
    seen = view(newer, silent("sim-2", 1), WITNESS, recorded=(FIRST,), labels={"sim-2": active("sim-2", 5)})
    assert [step.get("sim-1") for step in steps(seen)] == [None, active("sim-1", 6)], "demoted first"


def test_who_cannot_be_reached_keeps_the_label_while_nobody_else_is_active() -> None:
    passive = process("sim-1", replica("sim-1", FIRST, Role.PASSIVE, term=5))
    before = {"sim-1": Label("west", Role.PASSIVE, 5), "sim-2": active("sim-2", 5)}
    assert steps(view(passive, silent("sim-2", 1), WITNESS, recorded=(FIRST,), labels=before)) == []
