"""Single scenarios that random faults reach too rarely."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from pairsim.replication import patience
from pairsim.replication.log.records import Record, Seal, decode_record
from pairsim.replication.membership.draining import DRAIN_SECONDS
from pairsim.replication.raft import journal, node, replicator, snapshots
from pairsim.replication.raft.messages import Chunk, TimeoutNow, encode_message
from tests.simulation.oracle import Violation
from tests.simulation.process import SimProcess
from tests.simulation.world import World

_WAKES = 4
"""How many actives wake: whether all that happened reaches one of them in a single turn depends on the seed."""


def commits_without_the_passive() -> tuple[World, str, str]:
    """Lets active and witness commit for a second while the passive hangs; returns both replicas' names."""
    world = World(11)
    world.run(2.0)
    active = world.active()
    assert active is not None
    passive = "b" if active.name == "a" else "a"
    world.halt(passive)
    world.run(1.0)
    return world, active.name, passive


def lose_the_witnesss_journal() -> World:
    """Then kills the active and restarts the witness without its disk: only it and the passive are left."""
    world, active, passive = commits_without_the_passive()
    world.processes[active].crash()
    world.processes["w"].crash(lose_disk=True)
    world.resume(passive)
    world.processes["w"].start(world.assignment)
    world.run(4.0)
    if world.active() is not None:
        raise Violation("a pair without the committed records continued")
    world.restart(active)
    world.settle(lambda: None)
    world.check_end()
    return world


def test_a_witness_without_its_journal_does_not_vote() -> None:
    world = lose_the_witnesss_journal()
    assert len(world.oracle.acked) > 30


def test_records_are_lost_when_that_witness_votes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    always = property(lambda _self: True, lambda _self, _value: None)
    monkeypatch.setattr(journal.Journal, "is_voter", always, raising=False)
    with pytest.raises(Violation):
        lose_the_witnesss_journal()


def test_a_lagging_passive_gets_the_log_from_the_witness_before_it_leads() -> None:
    world, active, passive = commits_without_the_passive()
    behind = world.processes[passive].replica
    assert behind is not None
    before = behind.log.tick
    world.processes[active].crash()
    world.resume(passive)
    world.run(3.0)
    now = world.active()
    assert now is not None
    assert now.name == passive
    assert behind.log.tick > before + 8  # the ticks that were committed without it, and more
    world.settle(lambda: None)
    world.check_end()


def test_an_area_continues_after_all_members_restarted() -> None:
    world = World(5)
    world.run(4.0)
    seen = max(world.oracle.digests)
    for name in ("a", "b", "w"):
        world.processes[name].crash()
    world.run(0.5)
    for name in ("a", "b", "w"):
        world.restart(name)
    world.settle(lambda: None)
    world.check_end()
    assert max(world.oracle.digests) > seen


def test_without_a_majority_nothing_is_acknowledged() -> None:
    world = World(6)
    world.run(2.0)
    active = world.active()
    assert active is not None
    for name in ("a", "b", "w"):
        if name != active.name:
            world.processes[name].crash()
    world.run(1.0)
    acknowledged, seen = len(world.oracle.acked), max(world.oracle.digests)
    world.run(3.0)
    assert (len(world.oracle.acked), max(world.oracle.digests)) == (acknowledged, seen)
    world.settle(lambda: None)
    world.check_end()
    assert len(world.oracle.acked) > acknowledged


def test_the_log_keeps_all_records_until_a_restarted_passive_has_reported_its_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(21)
    world.run(3.0)
    active = world.active()
    assert active is not None
    passive = world.processes["b" if active.name == "a" else "a"]
    passive.crash()
    world.run(0.2)
    with monkeypatch.context() as patch:
        patch.setattr(world.streams, "_subscribe", lambda _node, _name: None)
        world.restart(passive.name)
    world.run(5.0)  # the active writes a checkpoint meanwhile, which makes earlier records useless to itself
    assert passive.replica is not None
    assert passive.replica.can_simulate()


def test_a_newcomers_first_state_is_on_its_disk_at_once() -> None:
    world = World(22)
    world.run(6.0)
    active = world.active()
    assert active is not None
    assert active.replica is not None
    passive = world.processes["b" if active.name == "a" else "a"]
    passive.crash(lose_disk=True)
    world.run(4.0)
    passive.checkpoints.next_due = world.clock.now + 1000.0
    passive.start(world.assignment)
    world.settle(lambda: None)
    assert active.replica.log.reaches(passive.checkpoints.durable)


def test_the_log_keeps_the_records_after_the_passives_checkpoint() -> None:
    world = World(23)
    world.run(2.0)
    active = world.active()
    assert active is not None
    assert active.replica is not None
    passive = world.processes["b" if active.name == "a" else "a"]
    durable = passive.checkpoints.durable
    passive.checkpoints.next_due = world.clock.now + 1000.0  # a slow disk
    world.run(8.0)
    assert passive.checkpoints.durable == durable
    assert active.checkpoints.durable > durable + 30
    assert active.replica.log.reaches(durable)


@pytest.mark.parametrize("dials", [True, False], ids=["the survivor dials", "the survivor is dialled"])
def test_a_survivor_that_missed_the_seal_learns_it_although_the_active_restarted(*, dials: bool) -> None:
    """The witness is replaced; the active seals, goes on and restarts before the passive hears of the commit."""
    world = World(3)
    world.run(2.0)
    passive, name = ("a", "b") if dials else ("b", "a")
    lead(world, name)
    active, behind = world.processes[name], world.processes[passive]
    replace_the_witness(world, 2, "w", "s1")
    until(world, lambda: isinstance(last_record(behind), Seal))
    world.network.cut.add((name, passive))
    until(world, lambda: generation(active) == 2)
    active.crash()
    assert generation(behind) == 1
    world.run(0.5)
    world.network.cut.clear()
    world.restart(name)
    world.run(5.0)
    assert world.active() is not None
    assert (generation(active), generation(behind)) == (2, 2)
    world.run(4.0)
    assert [sorted(world.processes[each].resources.storages) for each in ("a", "b", "s1")] == [[2], [2], [2]]


def test_a_survivor_that_missed_the_second_of_two_seals_learns_it_however_late() -> None:
    world = World(3)
    world.run(2.0)
    lead(world, "a")
    active, behind = world.processes["a"], world.processes["b"]
    replace_the_witness(world, 2, "w", "s1")
    world.run(DRAIN_SECONDS + 2.0)
    assert [sorted(world.processes[each].resources.storages) for each in ("a", "b", "s1")] == [[2], [2], [2]]
    lead(world, "a")
    replace_the_witness(world, 3, "s1", "s2")
    until(world, lambda: isinstance(last_record(behind), Seal))
    world.network.cut.add(("a", "b"))
    until(world, lambda: generation(active) == 3)
    world.run(DRAIN_SECONDS + 2.0)
    assert generation(behind) == 2
    world.settle(lambda: None)
    world.check_end()
    assert generation(behind) == 3


def test_the_first_initial_member_restarts_before_the_others_know_that_it_votes() -> None:
    world = World(1)
    world.network.cut |= {("a", "b"), ("b", "a")}  # their link comes up a moment later than the others
    witness = world.processes["w"]
    until(world, lambda: witness.membership is not None and witness.membership.group.voter)
    witness.crash()
    world.run(0.05)
    world.network.cut.clear()
    world.restart("w")
    world.settle(lambda: None)
    world.check_end()


def lead(world: World, name: str) -> None:
    """Makes an initial member the active."""
    active = world.active()
    assert active is not None
    if active.name != name:
        assert active.replica is not None
        assert active.replica.active is not None
        active.replica.active.request_handover(name, None, world.clock.now + 1.0)
        world.run(1.0)
        active = world.active()
    assert active is not None
    assert active.name == name


def replace_the_witness(world: World, number: int, old: str, new: str) -> None:
    """Kills the witness and asks the active for a next generation with another witness."""
    active = world.active()
    assert active is not None
    assert active.replica is not None
    assert active.replica.active is not None
    world.processes[old].crash()
    following = world.generation(number, ("a", "b"), (new,), new)
    world.processes[new].start(following)
    world.run(0.5)
    active.replica.active.request_handover("b" if active.name == "a" else "a", following, world.clock.now + 2.0)


def until(world: World, condition: Callable[[], bool]) -> None:
    """Lets time pass in the smallest steps until the condition holds."""
    end = world.clock.now + 5.0
    while not condition():
        assert world.clock.now < end
        world.run(0.0001)


def last_record(process: SimProcess) -> Record | None:
    assert process.membership is not None
    payload = process.membership.group._raft.journal[-1][0]
    return decode_record(payload[1:]) if payload[:1] == b"\0" else None


def generation(process: SimProcess) -> int:
    assert process.membership is not None
    return process.membership.assignment.generation


def interrupt_a_snapshot_with_another_leadership(patch: pytest.MonkeyPatch) -> World:
    """Lets the witness lead for a moment while a newcomer receives pieces of the active's snapshot.

    Then the active leads again. No link breaks, and no log is compacted meanwhile.
    """
    world = World(31)
    patch.setattr(snapshots, "COMPACT_ENTRIES", 10)
    patch.setattr(snapshots, "CHUNK_BYTES", 100)
    patch.setattr(replicator, "BURST_BYTES", 500)
    world.run(3.0)
    active = world.active()
    assert active is not None
    newcomer = world.processes["b" if active.name == "a" else "a"]
    newcomer.crash(lose_disk=True)
    world.run(3.0)
    patch.setattr(snapshots, "COMPACT_ENTRIES", 1_000)
    newcomer.start(world.assignment)
    witness = world.processes["w"].membership
    assert newcomer.membership is not None
    assert witness is not None
    until(world, lambda: newcomer.membership.group._raft.snapshots._incoming is not None)
    cut = {(active.name, newcomer.name)}
    world.network.cut |= cut
    world.run(0.05)
    term = witness.group.term
    witness.group.on_message(active.name, encode_message(TimeoutNow(term=term)))  # a message that was long under way
    until(world, lambda: newcomer.membership.group.term > term)
    world.network.cut -= cut
    world.settle(lambda: None)
    world.check_end()
    return world


def test_a_snapshot_that_another_leadership_interrupted_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = interrupt_a_snapshot_with_another_leadership(monkeypatch)
    assert world.oracle.takeovers >= 2


def test_pieces_of_two_snapshots_that_are_joined_cannot_be_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    take, following = snapshots.Snapshots.setTransmissionData, snapshots.Snapshots.next_chunk

    def join(self: snapshots.Snapshots, chunk: Chunk) -> bool:
        if self._incoming is not None and chunk.offset:
            self._incoming.term, self._incoming.index = chunk.term, chunk.index
            self._incoming.size = chunk.offset
        return take(self, chunk)

    def go_on(self: snapshots.Snapshots, peer: str, term: int) -> Chunk | None:
        if going := self._outgoing.get(peer):
            self._outgoing[peer] = snapshots._Outgoing(term, going.index, going.sent)
        return following(self, peer, term)

    monkeypatch.setattr(snapshots.Snapshots, "setTransmissionData", join)
    monkeypatch.setattr(snapshots.Snapshots, "next_chunk", go_on)
    monkeypatch.setattr(snapshots.Snapshots, "drop_incoming", lambda _self: None)
    with pytest.raises(msgspec.MsgspecError):
        interrupt_a_snapshot_with_another_leadership(monkeypatch)


def wake_actives_that_ran_ahead() -> None:
    """Halts an active whose newest ticks nobody received; it wakes when other ticks of these numbers are committed."""
    for seed in range(_WAKES):
        _wake_active_that_ran_ahead(World(seed))


def _wake_active_that_ran_ahead(world: World) -> None:
    world.run(2.0)
    active = world.active()
    assert active is not None
    unsent = {(active.name, other) for other in world.processes if other != active.name}
    world.network.cut |= unsent
    world.run(0.1)
    world.halt(active.name)
    world.run(0.5)
    world.network.cut.difference_update(unsent)
    world.resume(active.name)
    world.run(1.0)
    world.settle(lambda: None)
    world.check_end()


def test_an_active_that_ran_ahead_shows_no_tick_that_another_leadership_replaced() -> None:
    wake_actives_that_ran_ahead()


def test_replaced_ticks_are_shown_if_records_are_applied_before_the_leadership_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node.RaftNode, "_end_lost_leadership", lambda _self: None)
    with pytest.raises(Violation, match="shows another tick"):
        wake_actives_that_ran_ahead()


def test_a_leadership_that_is_lost_during_a_look_at_the_commit_publishes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(1)
    world.run(2.0)
    active = world.active()
    assert active is not None
    replica = active.replica
    assert replica is not None
    published = replica.published
    term, tick = replica.log.position()

    def lose() -> tuple[int, int]:
        replica.state.unconfirmed_term = term
        return term + 1, tick + 9

    monkeypatch.setattr(replica.log, "position", lose)
    replica._show_committed(world.clock.now)
    assert replica.published == published


def takeovers_of_a_starved_pair() -> int:
    """Keeps each replica from a processor for a while, in turn, as a busy machine does; returns the takeovers."""
    world = World(3)
    world.run(2.0)
    before = world.oracle.takeovers
    for round_number in range(24):
        name = ("a", "b")[round_number % 2]
        world.processes[name].resources.starved = True
        world.halt(name)
        world.run(0.3)
        world.resume(name)
        world.run(0.2)
    world.settle(lambda: None)
    world.check_end()
    return world.oracle.takeovers - before


def test_an_active_that_waits_for_a_processor_is_deposed_at_most_once() -> None:
    assert takeovers_of_a_starved_pair() <= 1


def test_it_is_deposed_again_and_again_if_nobody_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FACTOR", 0.0)
    assert takeovers_of_a_starved_pair() > 5
