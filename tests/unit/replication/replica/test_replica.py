"""A replica between two roles: what it keeps, replays, shows and writes to disk, and when it may lead."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from pairsim.model.authority import Authority
from pairsim.model.borders import Answer, AnswerKind, BorderInputs
from pairsim.model.borders.answers import command_key
from pairsim.model.borders.codec import encode_inputs
from pairsim.model.commands import Status
from pairsim.replication.checkpoint.format import Checkpoint
from pairsim.replication.log.records import Open, Tick
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.service import BatchInterruptedError, Published
from tests.simulation.area import SPEC
from tests.unit.replication.log.test_tick_log import apply, new
from tests.unit.replication.replica.replicas import NOW, LoneReplica, add
from tests.unit.replication.replica.test_active import run
from tests.unit.replication.replica.test_in_flight import Answers

REFUSED = "entity 99 does not exist"


@pytest.fixture
def lone() -> LoneReplica:
    return LoneReplica()


def later_log() -> TickLog:
    """Returns a log that does not retain its first records."""
    log = new()
    apply(log, Open(1), *(Tick(1, n, 0, n, []) for n in range(1, 50)))
    return log


# --- takeover


def test_a_takeover_replays_the_committed_ticks_and_checks_each_digest(lone: LoneReplica) -> None:
    lone.open(1)
    lone.tick(1, lone.digest())
    lone.tick(2, 4711)
    with capture_logs() as logs:
        lone.lead(2)
    assert (lone.state.tick, lone.state.divergences) == (2, 1)
    assert [(entry["event"], entry["tick"]) for entry in logs] == [("the state diverged before the takeover", 1)]
    assert lone.listener.takeovers == [(2, 2, 2)]


def test_a_takeover_without_a_divergence_counts_none(lone: LoneReplica) -> None:
    lone.open(1)
    other = LoneReplica()
    active = other.lead(1)
    run(active, 3)
    for record in other.records():
        lone.tick(record.tick, record.digest)
    lone.lead(2)
    assert (lone.state.tick, lone.state.divergences, lone.digest()) == (3, 0, other.digest())


def test_a_replica_that_the_log_does_not_reach_does_not_take_over(lone: LoneReplica) -> None:
    lone.log.restore(later_log().snapshot())
    assert not lone.replica.can_simulate()
    lone.open(10)
    lone.replica.on_leadership_gained(10, None)
    lone.replica.run_once(NOW)
    assert lone.replica.active is None


def test_a_takeover_knows_what_the_replayed_tick_rejected(lone: LoneReplica) -> None:
    lone.open(1)
    lone.tick(1, lone.digest(), commands=[add("a", entity=99)])
    assert answers_again(lone, 2) == (Status.DUPLICATE, 1, REFUSED)


def test_a_replay_takes_in_the_grants_of_its_ticks(lone: LoneReplica) -> None:
    granted = Authority(area=SPEC.area, version=7, cells=())
    lone.open(1)
    lone.tick(1, lone.digest(), inputs=encode_inputs(BorderInputs(grants=(granted,))))
    lone.lead(2)
    assert (lone.state.tick, lone.state.authority(1), lone.state.borders.clock) == (1, granted, 1)


def test_a_second_leadership_knows_what_the_first_one_rejected(lone: LoneReplica) -> None:
    active = lone.lead()
    lone.inbox.put([add("a", entity=99)], Answers())
    run(active, 1)
    lone.commit()
    lone.replica.on_leadership_lost()
    lone.replica.run_once(NOW + 1.0)
    assert answers_again(lone, 2) == (Status.DUPLICATE, 1, REFUSED)


def test_a_restart_knows_what_was_rejected_before_its_checkpoint(lone: LoneReplica) -> None:
    lone.open(1)
    lone.tick(1, lone.digest())
    borders = lone.state.borders.copy()
    borders.answers.put(command_key("a"), Answer(AnswerKind.REJECTED, 1, 99, 0, REFUSED, 1))
    lone.disk.saved = Checkpoint(1, 1, lone.state.table.copy(), borders)
    assert lone.replica.restore_checkpoint()
    assert answers_again(lone, 2) == (Status.DUPLICATE, 1, REFUSED)


def answers_again(lone: LoneReplica, term: int) -> tuple[Status, int, str]:
    """Returns the answer of the active of a term to the command "a", which is sent again."""
    active, answers = lone.lead(term), Answers()
    lone.inbox.put([add("a", entity=99)], answers)
    run(active, 1)
    lone.commit()
    assert [command.id for record in lone.records() if record.term == term for command in record.commands] == []
    (result,) = answers.only.results
    return result.status, result.tick, result.reason


# --- the end of a leadership


def test_the_raft_thread_answers_open_batches_at_once(lone: LoneReplica) -> None:
    """The replica thread may be in the middle of a long tick."""
    active, answer = lone.lead(), Answers()
    lone.inbox.put([add("a")], answer)
    run(active, 1)
    lone.replica.on_leadership_lost()
    assert [type(got) for got in answer.got] == [BatchInterruptedError]


def test_the_replica_thread_answers_what_it_admitted_after_the_leadership_was_lost(lone: LoneReplica) -> None:
    active, answer = lone.lead(), Answers()
    lone.replica.on_leadership_lost()
    lone.inbox.put([add("a")], answer)
    run(active, 1)
    lone.replica.run_once(NOW + 1.0)
    assert lone.replica.active is None
    assert [type(got) for got in answer.got] == [BatchInterruptedError]


def test_the_next_leadership_starts_a_new_chain_of_frames(lone: LoneReplica, monkeypatch: pytest.MonkeyPatch) -> None:
    resets: list[str] = []
    monkeypatch.setattr(lone.replica.publisher, "reset", lambda: resets.append("reset"))
    lone.lead()
    lone.replica.on_leadership_lost()
    lone.replica.run_once(NOW)
    assert resets == ["reset"]


def test_an_active_of_an_earlier_term_does_not_make_a_replica_capable(lone: LoneReplica) -> None:
    active = lone.lead()
    run(active, 2)
    assert lone.replica.can_simulate(), "the active is ahead of the commit"
    lone.replica.on_leadership_lost()
    assert not lone.replica.can_simulate(), "its ticks may be undone"


def ahead_of_the_commit(lone: LoneReplica) -> None:
    """Computes two ticks in term 1, and loses the leadership."""
    run(lone.lead(), 2)
    lone.replica.on_leadership_lost()
    lone.replica.run_once(NOW)


def test_ticks_of_a_lost_leadership_stay_unconfirmed_until_the_log_has_reached_them(lone: LoneReplica) -> None:
    ahead_of_the_commit(lone)
    lone.commit(1)
    lone.replica.run_once(NOW)
    assert not lone.state.confirmed
    lone.commit(1)
    lone.replica.run_once(NOW)
    assert (lone.state.confirmed, lone.state.tick) == (True, 2)


def test_a_tick_of_a_later_term_undoes_the_ticks_of_a_lost_leadership(lone: LoneReplica) -> None:
    ahead_of_the_commit(lone)
    lone.commit(1)
    lone.open(2)
    lone.tick(2, 0, term=2)
    lone.replica.run_once(NOW)
    assert (lone.state.valid, lone.replica.can_simulate()) == (False, False)


def test_ticks_of_a_lost_leadership_that_the_log_does_not_show_any_more_are_undone(lone: LoneReplica) -> None:
    ahead_of_the_commit(lone)
    lone.log.restore(later_log().snapshot())
    lone.replica.run_once(NOW)
    assert not lone.state.valid


def test_an_invalid_state_is_rebuilt_from_the_checkpoint_after_a_second(lone: LoneReplica) -> None:
    lone.disk.saved = Checkpoint(0, 0, lone.state.table.copy(), lone.state.borders)
    lone.state.valid = False
    for seconds, valid in ((0.0, False), (0.9, False), (1.1, True)):
        lone.replica.run_once(NOW + seconds)
        assert lone.state.valid is valid


# --- what leaves the replica


def test_only_committed_ticks_are_shown(lone: LoneReplica) -> None:
    active = lone.lead()
    run(active, 2)
    lone.replica._show_committed(NOW)
    assert lone.replica.published == Published(1, 0)
    lone.commit()
    lone.replica._show_committed(NOW)
    assert lone.listener.published[-1] == Published(1, 2)


def test_only_committed_states_are_written_to_disk(lone: LoneReplica) -> None:
    lone.lead()
    for number in range(1, 5):
        lone.replica.run_once(NOW + number)
    assert lone.state.tick > 0
    assert {tick for tick, _urgent in lone.disk.offered} == {0}
    lone.commit()
    lone.replica.run_once(NOW)
    assert lone.disk.offered[-1][0] == lone.state.tick


def test_an_unconfirmed_state_is_not_written_to_disk(lone: LoneReplica) -> None:
    ahead_of_the_commit(lone)
    lone.disk.offered.clear()
    lone.commit(1)
    lone.replica.run_once(NOW)
    assert lone.disk.offered == []


def test_a_checkpoint_that_the_log_does_not_reach_is_replaced_urgently(lone: LoneReplica) -> None:
    lone.replica.run_once(NOW)
    assert lone.disk.offered == [(0, False)]
    lone.disk.durable = 7
    lone.replica.run_once(NOW)
    assert lone.disk.offered[-1] == (0, True)


def test_a_commit_wakes_an_active_and_a_replica_without_a_state(lone: LoneReplica) -> None:
    lone.open(1)
    wakes = lone.listener.wakes
    lone.tick(1, lone.digest())
    assert lone.listener.wakes == wakes, "a passive without a frame has nothing to do"
    lone.state.valid = False
    lone.tick(2, 0)
    assert lone.listener.wakes == wakes + 1
    leader = LoneReplica()
    active = leader.lead()
    run(active, 1)
    wakes = leader.listener.wakes
    leader.commit()
    assert leader.listener.wakes == wakes + 1


def test_ticks_of_a_lost_leadership_are_not_shown_when_others_are_committed_during_the_turn(
    lone: LoneReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log may grow between two looks of one turn: neither readers nor a checkpoint may get the undone ticks."""
    active = lone.lead()
    for number in range(1, 4):
        active.run_once(NOW + number)
    lone.replica.on_leadership_lost()
    lone.replica.run_once(NOW + 4)
    assert (lone.state.tick, lone.state.confirmed) == (3, False)

    def commit(*_arguments: object) -> None:
        lone.open(2)
        for number in range(1, 4):
            lone.tick(number, 0, term=2)

    monkeypatch.setattr(lone.replica.outside, "update", commit)
    lone.listener.published.clear()
    lone.disk.offered.clear()
    lone.replica.run_once(NOW + 5)
    assert (lone.log.tick, lone.listener.published, lone.disk.offered) == (3, [], [])


def test_a_passive_reads_its_table_again_after_a_leadership(lone: LoneReplica) -> None:
    active = lone.lead()
    run(active, 2)
    lone.commit()
    lone.replica.run_once(NOW)
    lone.replica.on_leadership_lost()
    lone.replica.run_once(NOW)
    assert lone.state.confirmed
    with lone.state.lock:
        lone.state.mark_tick(3)
    lone.tick(3, lone.digest(), term=1)
    seen = lone.state.read(lambda area: (area.published.tick, area.table is lone.state.table), lone.log, 1.0)
    assert seen == (3, True)
