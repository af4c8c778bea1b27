"""The invariants hold while engines raise, hang and end, and the area goes on when they work again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pairsim.model.status import SimulatorPhase
from pairsim.replication.log.orders import Orders
from pairsim.replication.replica.engine.failures import EngineFailures
from pairsim.replication.replica.node import AreaNode
from pairsim.replication.service import OrderResult, RefusedError
from tests.simulation.engines import MENDED, START_SECONDS, UPDATED, EngineFault
from tests.simulation.faults import EngineNemesis, OrderNemesis, UpdateNemesis, run
from tests.simulation.oracle import Violation
from tests.simulation.pair import SPARES
from tests.simulation.world import World

SEEDS, CHUNK = 60, 20


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_is_lost_and_nothing_is_undone_while_engines_fail(first: int) -> None:
    failed = acknowledged = 0
    for seed in range(first, first + CHUNK):
        world = run(seed, kind=EngineNemesis)
        failed += sum(process.faults.struck for process in world.processes.values())
        acknowledged += len(world.oracle.acked)
    # Runs without failures and commands would prove nothing.
    assert failed > 3 * CHUNK
    assert acknowledged > 50 * CHUNK


def running(seed: int) -> tuple[World, str, str]:
    """Returns a world that has run for two seconds, its active and its passive."""
    world = World(seed)
    world.run(2.0)
    active = world.active()
    assert active is not None
    return world, active.name, "b" if active.name == "a" else "a"


@pytest.mark.parametrize("fault", EngineFault)
def test_the_other_replica_goes_on_from_the_same_tick(fault: EngineFault) -> None:
    world, active, passive = running(3)
    terms = world.oracle.takeovers
    world.processes[active].faults.next = [fault]
    world.run(0.3)
    now = world.active()
    assert now is not None
    assert (now.name, world.oracle.takeovers - terms) == (passive, 1)
    world.settle(lambda: None)
    world.check_end()


@pytest.mark.parametrize("fault", EngineFault)
def test_the_area_pauses_when_both_replicas_fail_at_a_tick_and_goes_on_afterwards(fault: EngineFault) -> None:
    world, active, passive = running(4)
    terms = world.oracle.takeovers
    for name in (active, passive):
        world.processes[name].faults.always = fault
    world.run(10.0)
    replicas = [world.processes[name].replica for name in (active, passive)]
    states = [r.failures.state(r.state.tick, r.revision, world.clock.now) for r in replicas if r is not None]
    assert [state.phase for state in states if state is not None] == [SimulatorPhase.PAUSED] * 2
    assert len({r.state.tick for r in replicas if r is not None}) == 1
    assert world.oracle.takeovers - terms <= 4, "the leadership goes to and fro"
    before = len(world.oracle.acked)
    for name in (active, passive):
        world.processes[name].faults.always = None
    world.run(20.0)
    assert len(world.oracle.acked) > before + 100
    world.settle(lambda: None)
    world.check_end()


def test_an_engine_that_ends_between_two_ticks_costs_one_handover() -> None:
    world, active, passive = running(5)
    world.processes[active].end_engine()
    world.run(0.3)
    now = world.active()
    assert now is not None
    assert now.name == passive
    world.processes[active].end_engine()  # that of the passive: nothing happens but a new start
    world.run(1.0)
    assert world.active() is now
    world.settle(lambda: None)
    world.check_end()


def test_an_active_whose_peer_is_away_tries_the_tick_again_itself() -> None:
    world, active, passive = running(6)
    world.processes[passive].crash()
    world.run(0.5)
    world.processes[active].faults.next = [EngineFault.END, EngineFault.RAISE]
    world.run(6.0)
    now, acked = world.active(), len(world.oracle.acked)
    assert now is not None
    assert now.name == active
    world.run(1.0)
    assert len(world.oracle.acked) > acked
    world.restart(passive)
    world.settle(lambda: None)
    world.check_end()


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_that_was_seen_is_changed_by_skips(first: int) -> None:
    skipped = poisoned = acknowledged = 0
    for seed in range(first, first + CHUNK):
        world = run(seed, kind=OrderNemesis)
        skipped += len(world.oracle.skipped)
        poisoned += len(world.poison)
        acknowledged += len(world.oracle.acked)
    assert skipped > CHUNK // 3
    assert acknowledged > 50 * CHUNK


def test_a_command_at_which_both_replicas_fail_is_skipped_and_nothing_else_is_lost() -> None:
    world, *_ = running(7)
    poison = world.client.next_id
    world.poison.add(poison)
    world.run(3.0)
    leader = world.leader()
    assert leader is not None
    assert poison in leader.log.last_commands
    paused = leader.replica.failures.state(leader.replica.state.tick, leader.replica.revision, world.clock.now)
    assert paused is not None
    assert paused.phase is SimulatorPhase.PAUSED
    stood, others = leader.log.tick, [c for c in leader.log.last_commands if c != poison]
    request = leader.request_order(poison)
    world.run(1.0)
    assert isinstance(request.outcome, OrderResult)
    assert request.outcome.tick == stood
    assert leader.log.tick > stood
    world.settle(lambda: None)
    world.check_end()
    outcomes = {result.id: (result.tick, result.reason) for result in world.oracle.acked.values()}
    assert outcomes[poison] == (stood, "skipped")
    assert all(outcomes[command][0] == stood and outcomes[command][1] != "skipped" for command in others)


def test_a_tick_that_was_seen_is_not_changed_though_both_replicas_fail_at_it_now() -> None:
    world, active, passive = running(8)
    world.halt(passive)
    world.run(0.15)
    seen = max(world.oracle.digests)
    record = world.oracle.records[seen]
    world.poison.update(command.id for command in record.commands)
    world.processes[active].crash()
    world.resume(passive)
    world.run(2.0)
    leader = world.leader()
    assert leader is not None
    assert (leader.log.tick, leader.replica.state.tick) == (seen, seen - 1)
    request = leader.request_order(record.commands[0].id)
    world.run(0.2)
    assert str(request.outcome).startswith(f"{active} is not connected and may have shown tick {seen}")
    world.restart(active)
    world.run(2.0)
    leader = world.leader()
    assert leader is not None
    request = leader.request_order(record.commands[0].id)
    world.run(0.2)
    assert "cannot be changed any more" in str(request.outcome)
    world.poison.clear()
    world.settle(lambda: None)
    world.check_end()
    assert world.oracle.skipped == set()


def paused_at_a_poison(seed: int) -> tuple[World, AreaNode, str]:
    """Returns a world whose area is paused, the node that leads it, and the command at which all engines fail."""
    world, *_ = running(seed)
    poison = world.client.next_id
    world.poison.add(poison)
    world.run(12.0)  # the next attempt comes after several seconds
    leader = world.leader()
    assert leader is not None
    assert leader.replica.state.tick == leader.log.tick - 1
    return world, leader, poison


def test_a_switchover_of_a_paused_area_is_refused_with_the_cause_of_the_pause() -> None:
    world, leader, poison = paused_at_a_poison(9)
    with pytest.raises(RefusedError, match=f"is paused before a tick that fails.*with command.* {poison}"):
        leader.request_switchover(world.clock.now + 1.0)


def test_mended_code_computes_the_tick_that_failed_at_once_after_an_order() -> None:
    world, leader, poison = paused_at_a_poison(9)
    stood = leader.log.tick
    world.code = MENDED
    request = leader.request_order(None)
    world.run(1.0)
    assert isinstance(request.outcome, OrderResult)
    assert request.outcome.tick == stood
    assert leader.log.orders.code == MENDED
    assert leader.log.tick > stood, "it does not wait for the next attempt"
    world.run(2.0)
    assert {process.engine.code for process in world.processes.values() if process.engine} == {MENDED}
    world.settle(lambda: None)
    world.check_end()
    assert (world.oracle.acked[poison].tick, world.oracle.acked[poison].reason) == (stood, world.oracle.refused[poison])
    assert world.oracle.refused[poison] != "skipped"


def test_engines_that_start_again_with_the_same_code_fail_again() -> None:
    world, leader, _poison = paused_at_a_poison(10)
    revision = leader.log.orders.revision
    request = leader.request_order(None)
    world.run(3.0)
    assert isinstance(request.outcome, OrderResult)
    leader = world.leader()
    assert leader is not None
    assert leader.log.orders.revision == revision + 1
    assert leader.replica.state.tick == leader.log.tick - 1
    world.poison.clear()
    world.settle(lambda: None, 90)
    world.check_end()


def test_the_next_attempt_uses_the_mended_code() -> None:
    world, leader, _poison = paused_at_a_poison(11)
    struck = sum(process.faults.struck for process in world.processes.values())
    world.code = MENDED
    world.run(12.0)
    assert leader.log.orders.code == MENDED
    assert sum(process.faults.struck for process in world.processes.values()) == struck, "an old engine was used"
    world.settle(lambda: None)
    world.check_end()


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_tick_is_computed_with_two_codes_while_replicas_are_updated(first: int) -> None:
    changed = acknowledged = 0
    for seed in range(first, first + CHUNK):
        world = run(seed, kind=UpdateNemesis)
        leader = world.leader()
        assert leader is not None
        changed += leader.log.orders.floor > 0
        acknowledged += len(world.oracle.acked)
    assert changed > CHUNK // 4  # two thirds of the worlds are updated in time, by chance
    assert acknowledged > 50 * CHUNK


def run_all(first: int = 0) -> None:
    """Runs worlds with updates until one of them breaks an invariant."""
    for seed in range(first, first + SEEDS):
        run(seed, kind=UpdateNemesis)


def test_a_computation_with_any_code_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EngineFailures, "has_other_code", False)
    with pytest.raises(Violation):
        run_all()


def test_a_replay_across_a_change_of_code_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    after = Orders.after

    def without_floor(self: Orders, *arguments: Any) -> Orders:
        changed = after(self, *arguments)
        return changed if changed is self else msgspec.structs.replace(changed, floor=0)

    monkeypatch.setattr(Orders, "after", without_floor)
    with pytest.raises(Violation):
        run_all(first=60)  # one in two hundred seeds shows it


def test_engines_of_an_area_that_runs_are_renewed_without_a_pause() -> None:
    world, active, passive = running(12)
    leader, ticks = world.leader(), len(world.oracle.records)
    assert leader is not None
    world.code = UPDATED
    request = leader.request_order(None)
    world.run(0.9 * START_SECONDS)
    assert request.outcome is None
    world.run(1.0)
    assert isinstance(request.outcome, OrderResult)
    assert request.outcome.other_code
    assert world.leader() is leader
    engines = [process.engine for name in (active, passive) if (process := world.processes[name])]
    assert [engine.code for engine in engines if engine] == [UPDATED, UPDATED]
    assert len(world.oracle.records) - ticks >= 10 * (0.9 * START_SECONDS + 1.0) - 3
    world.settle(lambda: None)
    world.check_end()


def test_a_rolling_update_costs_one_handover_and_one_order() -> None:
    world, active, passive = running(13)
    terms = world.oracle.takeovers
    world.codes[passive] = UPDATED
    world.processes[passive].crash()
    world.run(0.3)
    world.restart(passive)
    world.run(2.0)
    now, replica = world.active(), world.processes[passive].replica
    assert now is not None
    assert now.name == active
    assert replica is not None
    assert replica.failures.has_other_code
    leader = world.leader()
    assert leader is not None
    request = leader.request_order(None)
    world.run(2.0)
    assert isinstance(request.outcome, OrderResult)
    assert request.outcome.code_of == passive
    now = world.active()
    assert now is not None
    assert (now.name, world.oracle.takeovers - terms) == (passive, 1)
    world.codes[active] = UPDATED
    world.processes[active].crash()
    world.run(0.3)
    world.restart(active)
    world.settle(lambda: None)
    assert world.active() is now
    world.check_end()


def test_an_area_that_is_paused_becomes_redundant_after_the_loss_of_a_replica() -> None:
    world, leader, poison = paused_at_a_poison(14)
    active = world.active()
    assert active is not None, "a leader that cannot replay a tick is active"
    lost = next(name for name in ("a", "b") if name != active.name)
    stood = leader.replica.state.tick
    world.processes[lost].crash(lose_disk=True)
    world.run(1.0)
    spare = SPARES[0]
    following = world.generation(2, (active.name, spare), (spare,))
    world.processes[spare].start(following)
    for _request in range(10):
        world.run(0.5)
        now = world.leader()
        if now is not None and now.membership.assignment.generation == 1:
            now.advance_to(following)
    newcomer = world.processes[spare]
    assert newcomer.membership is not None
    assert newcomer.replica is not None
    assert newcomer.membership.group.voter
    assert newcomer.replica.state.tick == stood, "it has the state before the tick that fails"
    world.processes[active.name].crash()
    world.run(3.0)
    now = world.leader()
    assert now is not None
    assert now.membership.me == spare, "it leads when the other replica is lost, too"
    world.restart(active.name)
    world.run(12.0)
    now = world.leader()
    assert now is not None
    request = now.request_order(poison)
    world.run(3.0)
    assert isinstance(request.outcome, OrderResult), request.outcome
    world.settle(lambda: None)
    world.check_end()


def join_without_engine(seed: int) -> tuple[World, str, str]:
    """Returns a world whose passive was lost, its active, and the newcomer, whose engine cannot be started."""
    world, active, passive = running(seed)
    world.processes[passive].crash(lose_disk=True)
    spare = SPARES[0]
    world.processes[spare].faults.unstartable = True
    following = world.generation(2, (active, spare), (spare,))
    world.processes[spare].start(following)
    for _request in range(10):
        world.run(0.5)
        leader = world.leader()
        if leader is not None and leader.membership.assignment.generation == 1:
            leader.advance_to(following)
    return world, active, spare


def test_a_newcomer_whose_engine_cannot_be_started_joins_and_does_not_lead() -> None:
    world, active, spare = join_without_engine(15)
    newcomer, terms, acked = world.processes[spare], world.oracle.takeovers, len(world.oracle.acked)
    assert newcomer.membership is not None
    assert newcomer.replica is not None
    assert newcomer.membership.group.voter
    world.run(5.0)
    now = world.active()
    assert now is not None
    assert now.name == active
    assert world.oracle.takeovers == terms
    assert len(world.oracle.acked) > acked + 100, "the area ticks"
    assert newcomer.replica.can_simulate(), "it has the state"
    state = newcomer.replica.failures.state(newcomer.replica.state.tick, newcomer.replica.revision, world.clock.now)
    assert state is not None
    assert (state.phase, state.start_failed) == (SimulatorPhase.RESTARTING, True)
    assert state.about.endswith("half an edit")
    newcomer.faults.unstartable = False
    world.run(2 * START_SECONDS)
    assert newcomer.engine is not None
    assert newcomer.replica.failures.running
    assert world.active() is now
    world.settle(lambda: None)
    world.check_end()


def test_a_replica_without_an_engine_leads_when_it_is_alone_and_goes_on_when_its_engine_starts() -> None:
    world, active, spare = join_without_engine(16)
    newcomer = world.processes[spare]
    world.processes[active].crash()
    world.run(3.0)
    leader = world.leader()
    assert leader is not None
    assert leader.membership.me == spare
    stood, state = leader.log.tick, leader.replica.state.tick
    assert state >= stood - 3
    world.run(2.0)
    assert (leader.log.tick, leader.replica.state.tick) == (stood, state), "nothing computes"
    newcomer.faults.unstartable = False
    world.run(2.0)
    assert leader.log.tick > stood
    world.restart(active)
    world.settle(lambda: None)
    world.check_end()


def test_replicas_whose_engines_cannot_be_started_come_back_with_their_state() -> None:
    world, active, passive = running(17)
    world.run(3.0)
    stood = max(world.oracle.digests)
    for name in (active, passive):
        world.processes[name].crash()
        world.processes[name].faults.unstartable = True
    world.run(0.5)
    for name in (active, passive):
        world.restart(name)
    world.run(2.0)
    leader = world.leader()
    assert leader is not None, "one of them leads, and serves reads"
    assert leader.log.tick >= stood
    assert leader.replica.state.valid
    for name in (active, passive):
        world.processes[name].faults.unstartable = False
    world.run(3.0)
    assert leader.log.tick > stood
    world.settle(lambda: None)
    world.check_end()
