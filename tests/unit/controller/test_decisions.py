"""Decisions on views that are told by hand; the rules are in `controller/decide.py`."""

from __future__ import annotations

import itertools

from controller.decide import GRACE, decide
from controller.view import Action, Adopt, Assign, Kind, Label, Process, Release, Say, SetLabel, View
from pairsim.model.assignment import AreaSpec, Assignment, Member, ReplicaStatus, Role, WitnessGroup, WitnessStatus
from pairsim.model.geometry import Box

BOX = Box(min=(0.0, 0.0, 0.0), max=(1.0, 1.0, 1.0))
SPEC = AreaSpec(area="west", plane="p", simulator="physics", bounds=BOX, world=BOX)


def member(name: str) -> Member:
    return Member(replica=name, peer=f"{name}:1", url=f"http://{name}")


FOUNDED = Assignment(spec=SPEC, generation=1, replicas=(member("a"), member("b")), witness=member("w"))


def replica(name: str, role: Role = Role.SPARE, *, term: int = 1, generation: int = 1, area: str = "west") -> Process:
    spare = role is Role.SPARE
    status = ReplicaStatus(
        plane="" if spare else "p", area="" if spare else area, replica=name, role=role,
        generation=0 if spare else generation, term=term, epoch=1, tick=9, synced_tick=9, digest="", entities=1,
        leader="a", members=("a", "b", "w") if generation == 1 else ("a", "c", "w"), in_sync=True,
        peer_in_sync=role is Role.ACTIVE, started_at=0.0, pid=1, peer=f"{name}:1",
    )  # fmt: skip
    return Process(name=name, kind=Kind.SIMULATOR, peer=f"{name}:1", url=f"http://{name}", alive=True, status=status)


def witness(name: str = "w", *groups: WitnessGroup) -> Process:
    status = WitnessStatus(replica=name, started_at=0.0, pid=1, peer=f"{name}:1", areas=groups)
    return Process(name=name, kind=Kind.WITNESS, peer=f"{name}:1", url=f"http://{name}", alive=True, status=status)


def group(generation: int = 1) -> WitnessGroup:
    members = ("a", "b", "w") if generation == 1 else ("a", "c", "w")
    return WitnessGroup(area="west", generation=generation, term=1, tick=9, leader="a", members=members)


def dead(name: str) -> Process:
    return Process(name=name, kind=Kind.SIMULATOR, peer=f"{name}:1", url=f"http://{name}", alive=False)


def silent(name: str, seconds: float) -> Process:
    return Process(name=name, kind=Kind.SIMULATOR, peer=f"{name}:1", url=f"http://{name}", alive=True, silent=seconds)


def view(*processes: Process, recorded: Assignment | None = FOUNDED, labels: dict[str, Label] | None = None) -> View:
    return View(
        areas=(SPEC,), processes={p.name: p for p in processes},
        recorded={"west": recorded} if recorded else {}, labels=labels or {},
    )  # fmt: skip


def orders(v: View) -> list[Action]:
    return [action for action in decide(v) if not isinstance(action, SetLabel)]


PAIR = (replica("a", Role.ACTIVE), replica("b", Role.PASSIVE), witness("w", group()))


def test_an_area_is_founded_with_two_spares_and_a_witness() -> None:
    (action,) = orders(view(replica("a"), replica("b"), replica("c"), witness(), recorded=None))
    assert action == Assign(FOUNDED, ("a", "b", "w"))


def test_without_enough_spares_it_waits_and_says_so() -> None:
    assert [type(a) for a in orders(view(replica("a"), witness(), recorded=None))] == [Say]
    assert [type(a) for a in orders(view(replica("a"), replica("b"), recorded=None))] == [Say]


def test_a_healthy_pair_is_left_alone() -> None:
    assert orders(view(*PAIR, replica("c"))) == []


def test_a_recorded_area_is_never_founded_again() -> None:
    everyone_new = view(replica("a"), replica("b"), replica("c"), replica("d"), witness())
    for action in orders(everyone_new):
        assert isinstance(action, Assign)
        assert action.assignment == FOUNDED  # said again to those who had not got it, not decided anew


def test_with_nobody_in_reach_it_does_nothing_but_say_so() -> None:
    assert [type(a) for a in orders(view(silent("a", 99), silent("b", 99), replica("c")))] == [Say]


def test_a_dead_replica_is_replaced_by_a_spare_at_once() -> None:
    (action,) = orders(view(PAIR[0], dead("b"), PAIR[2], replica("c")))
    assert isinstance(action, Assign)
    assert action.assignment.generation == 2
    assert [m.replica for m in action.assignment.replicas] == ["a", "c"]
    assert action.assignment.joins == ("c",)
    assert set(action.targets) == {"c", "a"}


def test_silence_is_no_death_until_the_grace_is_over_and_the_others_agree() -> None:
    assert orders(view(PAIR[0], silent("b", GRACE - 1), PAIR[2], replica("c"))) == []
    assert any(isinstance(a, Assign) for a in orders(view(PAIR[0], silent("b", GRACE + 1), PAIR[2], replica("c"))))
    no_witness = Process(name="w", kind=Kind.WITNESS, peer="w:1", url="http://w", alive=True, silent=1.0)
    assert not any(isinstance(a, Assign) for a in orders(view(PAIR[0], silent("b", 99), no_witness, replica("c"))))


def test_without_an_active_nothing_is_replaced() -> None:
    assert [type(a) for a in orders(view(dead("a"), replica("b", Role.PASSIVE), PAIR[2], replica("c")))] == [Say]


def test_both_replicas_lost_wait_for_one_of_them() -> None:
    assert [type(a) for a in orders(view(dead("a"), dead("b"), PAIR[2], replica("c"), replica("d")))] == [Say]


def test_one_spare_is_promised_to_one_area() -> None:
    other = AreaSpec(area="east", plane="p", simulator="physics", bounds=BOX, world=BOX)
    crowd = [replica(n) for n in ("a", "b", "c")]
    v = View(areas=(SPEC, other), processes={p.name: p for p in (*crowd, witness())}, recorded={}, labels={})
    founded = [a.assignment for a in decide(v) if isinstance(a, Assign)]
    assert len(founded) == 1


def test_a_generation_that_members_report_is_adopted() -> None:
    active = replica("a", Role.ACTIVE, generation=2)
    passive = replica("c", Role.PASSIVE, generation=2)
    actions = orders(view(active, passive, replica("b"), witness("w", group(2))))
    assert isinstance(actions[0], Adopt)
    assert actions[0].assignment.generation == 2
    assert [m.replica for m in actions[0].assignment.replicas] == ["a", "c"]


def test_a_process_that_has_the_area_and_is_no_member_is_released() -> None:
    stray = replica("x", Role.JOINING, generation=1)
    assert Release("x", "west") in orders(view(*PAIR, stray))


def labels_after(v: View) -> list[dict[str, Label]]:
    """The labels after every single change."""
    labels, steps = dict(v.labels), []
    for action in decide(v):
        if isinstance(action, SetLabel):
            labels[action.replica] = action.label
            steps.append(dict(labels))
    return steps


def test_labels_never_show_two_actives_on_the_way() -> None:
    roles = (Role.ACTIVE, Role.PASSIVE, Role.JOINING)
    for old_a, old_b, new_a, new_b in itertools.product(roles, repeat=4):
        if old_a == old_b == Role.ACTIVE:
            continue
        for terms in ((1, 2), (2, 1)):
            v = view(
                replica("a", new_a, term=terms[0]), replica("b", new_b, term=terms[1]), PAIR[2],
                labels={"a": Label("west", old_a, 1), "b": Label("west", old_b, 1)},
            )  # fmt: skip
            for labels in labels_after(v):
                assert sum(label.role is Role.ACTIVE for label in labels.values()) <= 1


def test_a_lower_term_never_takes_the_label() -> None:
    v = view(replica("a", Role.ACTIVE, term=3), silent("b", 1), PAIR[2], labels={"b": Label("west", Role.ACTIVE, 5)})
    assert all(labels.get("a", Label("west", Role.PASSIVE, 0)).role is not Role.ACTIVE for labels in labels_after(v))


def test_who_cannot_be_reached_loses_the_label_to_a_higher_term() -> None:
    v = view(replica("a", Role.ACTIVE, term=6), silent("b", 1), PAIR[2], labels={"b": Label("west", Role.ACTIVE, 5)})
    final = labels_after(v)[-1]
    assert final["a"].role is Role.ACTIVE
    assert final["b"].role is not Role.ACTIVE
