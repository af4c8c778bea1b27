"""A replica refuses entities for which it has no memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from pairsim.model.borders.messages import UNLIMITED_ROOM
from pairsim.model.commands import Command
from pairsim.replication.process import area_runtime
from pairsim.replication.process.memory_guard import MemoryGuard
from pairsim.replication.service import MemoryFullError, SimulatorError
from pairsim.server.errors import to_http_error
from pairsim.system.memory import MemoryAllowance
from tests.unit.model.counting import area
from tests.unit.replication.process.processes import assignment, make_simulator, simulator_process
from tests.unit.replication.tables import table

MB = 10**6


def spawns(count: int) -> list[Command]:
    return [Command(f"s{number}", "spawn", number, {}) for number in range(count)]


def test_the_memory_is_read_again_after_a_while() -> None:
    found, now = [MemoryAllowance(100 * MB, 50 * MB, 50 * MB)], [0.0]
    guard = MemoryGuard(lambda: found[0], lambda: now[0])
    state = table(1_000)
    guard.check(spawns(100), state, 100)
    found[0] = MemoryAllowance(100 * MB, 1 * MB, 50 * MB)
    guard.check(spawns(100), state, 100)
    now[0] = 1.0
    with pytest.raises(MemoryFullError, match=r"1,000 are there, 200 more need .* despawn entities, or give"):
        guard.check(spawns(100), state, 100)


def test_an_unknown_memory_refuses_nothing() -> None:
    MemoryGuard(lambda: None).check(spawns(10), table(10), 10**9)


def test_the_sender_is_answered_429() -> None:
    error = to_http_error(MemoryFullError("no memory for more entities"))
    assert error is not None
    assert (error.status, str(error)) == (429, "no memory for more entities")


def test_only_spawns_are_checked() -> None:
    """Despawns are what frees memory."""
    guard = MemoryGuard(lambda: MemoryAllowance(100 * MB, 0, 50 * MB))
    guard.check([Command("a", "despawn", 1, {}), Command("b", "set", 1, {"value": 1})], table(10), 50)
    with pytest.raises(MemoryFullError):
        guard.check([Command("c", "despawn", 2, {}), *spawns(1)], table(10), 0)


def test_the_room_for_arrivals_ends_where_spawns_are_refused() -> None:
    guard = MemoryGuard(lambda: MemoryAllowance(100 * MB, 50 * MB, 50 * MB))
    state = table(1_000)
    most = guard.most_entities(state)
    guard.check(spawns(1), state, most - 1_000 - 1)
    with pytest.raises(MemoryFullError):
        guard.check(spawns(1), state, most - 1_000)


@pytest.mark.parametrize("memory", [None, MemoryAllowance(100 * MB, 50 * MB, 1 * MB)])
def test_room_is_unlimited_while_no_spawn_is_refused(memory: MemoryAllowance | None) -> None:
    assert MemoryGuard(lambda: memory).most_entities(table(10)) == UNLIMITED_ROOM


def test_an_area_that_cannot_fit_is_refused_and_an_old_one_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(area_runtime, "read_memory", lambda: MemoryAllowance(10 * MB, 10 * MB))
    with simulator_process(tmp_path) as process:
        with pytest.raises(
            SimulatorError, match=r"area a with 100,000 entities .* needs at least .* of memory in each"
        ):
            process.assign(assignment(process, area(100_000)))
        process.assign(assignment(process, area(10_000)))
        given = process.settings
    monkeypatch.setattr(area_runtime, "read_memory", lambda: MemoryAllowance(MB, MB))
    again = make_simulator(given)
    try:
        assert again.status().area == "a"
    finally:
        again.close()
