"""A local world: what is written down, what is ordered, and what its operator reads."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from pairsim.model.assignment import Assignment
from pairsim.model.status import Role
from pairsim_controller.timestamps import time_of_day
from tests.unit.controller.worlds import NORTH, Fakes, fakes, group, until


def orders(made: Fakes) -> list[Assignment]:
    given = [order for replica in made.replicas.values() for order in replica.orders]
    return [order for order in [*given, *made.witness.orders] if isinstance(order, Assignment)]


async def test_an_area_is_founded_with_two_spares_and_a_witness(tmp_path: Path) -> None:
    async with fakes(tmp_path, working=False) as made:
        await until(lambda: len(orders(made)) >= 3)
        recorded = made.folder.assignments()["north"]
        assert set(map(repr, orders(made))) == {repr(recorded)}
        assert recorded.spec == NORTH
        assert made.told[0] == "north: founded with a and b, witness w"


async def test_what_cannot_be_written_down_is_not_ordered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with fakes(tmp_path, working=False) as made:
        full = True
        write = made.folder.write_assignments

        def record(recorded: dict[str, Assignment]) -> None:
            if full:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(recorded)

        monkeypatch.setattr(made.folder, "write_assignments", record)
        monkeypatch.setattr("pairsim_controller.reconcile.warning_debouncer.PATIENCE", 0.0)
        made.world._complaints._from = 0.0
        await made.known()
        sentence = f"world: cannot write {tmp_path}: No space left on device; nothing is decided"
        await until(lambda: sentence in made.told)
        assert orders(made) == []
        assert made.world.recorded == {}
        full = False
        await until(lambda: len(orders(made)) >= 3)
        assert made.told.count(sentence) == 1


async def test_a_takeover_is_told_with_who_when_and_from_whom(tmp_path: Path) -> None:
    async with fakes(tmp_path) as made:
        await until(lambda: made.told)
        made.replicas["b"].tick = 77
        made.replicas["a"].become(Role.PASSIVE, term=2)
        made.replicas["b"].become(Role.ACTIVE, term=2)
        await until(lambda: len(made.told) >= 2)
        assert made.told == [
            "north: a is active, in term 1 at tick 10",
            "north: b is active in place of a, in term 2 at tick 77",
        ]
        assert made.world.labels["b"].role is Role.ACTIVE
        assert made.world.labels["a"].role is Role.PASSIVE


async def test_a_new_term_of_the_same_active_is_no_takeover(tmp_path: Path) -> None:
    async with fakes(tmp_path) as made:
        await until(lambda: made.told)
        made.replicas["a"].become(Role.ACTIVE, term=2)
        await until(lambda: len(made.told) >= 2)
        assert made.told[1:] == ["north: a stays active, in term 2 at tick 10"]


async def test_an_active_of_an_old_term_is_not_told(tmp_path: Path) -> None:
    async with fakes(tmp_path) as made:
        await until(lambda: made.told)
        made.replicas["b"].become(Role.ACTIVE, term=5)
        await until(lambda: len(made.told) >= 2)
        made.replicas["a"].become(Role.ACTIVE, term=4)
        await until(lambda: (status := made.world.observers["a"].status) is not None and status.term == 4)  # type: ignore[union-attr]
        assert [sentence for sentence in made.told if "a is active" in sentence] == made.told[:1]
        assert made.world.replica("north", "active") == "b"


async def test_an_order_that_fails_again_and_again_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pairsim_controller.reconcile.warning_debouncer.PATIENCE", 0.0)
    monkeypatch.setattr("pairsim_controller.reconcile.dispatcher._AGAIN", 0.01)
    async with fakes(tmp_path, working=False) as made:
        made.replicas["a"].refuse = RuntimeError("the simulator is broken")
        made.world._complaints._from = 0.0
        await until(lambda: any("a does not do what it is told (assign)" in sentence for sentence in made.told))


async def test_who_has_a_role(tmp_path: Path) -> None:
    async with fakes(tmp_path) as made:
        await made.known()
        roles = {role: made.world.replica("north", role) for role in ("active", "passive", "witness", "joining")}
        assert roles == {"active": "a", "passive": "b", "witness": "w", "joining": None}
        assert made.world.replica("south", "active") is None
        assert made.world.replica("south", "witness") is None


async def test_a_witness_that_lost_its_folder_gets_the_area_again(tmp_path: Path) -> None:
    async with fakes(tmp_path) as made:
        await made.known()
        assert made.witness.orders == []
        made.witness.become()
        await until(lambda: made.witness.orders)
        assert made.witness.orders[0] == made.folder.assignments()["north"]
        made.witness.become(group())


async def test_an_area_that_is_not_wanted_is_given_back_and_forgotten(tmp_path: Path) -> None:
    async with fakes(tmp_path, areas=()) as made:
        await until(lambda: made.replicas["a"].orders and made.replicas["b"].orders and made.witness.orders)
        assert made.replicas["a"].orders[0] == made.witness.orders[0] == "north"
        for replica in made.replicas.values():
            replica.become(Role.SPARE)
        made.witness.become()
        await until(lambda: made.folder.assignments() == {})
        assert made.told[-1] == "north: nobody has it any more"


def test_the_story_has_the_time_of_day() -> None:
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", time_of_day(0.125))


async def test_an_area_that_is_not_wanted_any_more_is_backed_up_before_it_is_released(tmp_path: Path) -> None:
    async with fakes(tmp_path, areas=()) as made:
        await until(lambda: "north" in made.witness.orders)
        (kept,) = (tmp_path / "backups").iterdir()
        assert kept.name.endswith("-tick-10.jsonl.gz")
        assert made.told[-1] == f"north: its last state is kept in {kept}"
        assert made.folder.backup_files() == {"north": kept.name}


async def test_nobody_is_released_while_the_backup_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "backups").touch()
    monkeypatch.setattr("pairsim_controller.reconcile.warning_debouncer.PATIENCE", 0.0)
    async with fakes(tmp_path, areas=()) as made:
        made.world._complaints._from = 0.0
        await until(lambda: any("(backup): cannot write into" in told for told in made.told))
        assert made.witness.orders == []
        (tmp_path / "backups").unlink()
        await until(lambda: "north" in made.witness.orders)


async def test_what_is_saved_is_not_saved_again_after_a_restart(tmp_path: Path) -> None:
    async with fakes(tmp_path, areas=()) as made:
        await until(made.folder.backup_files)
        await made.close()
        made.run()
        made.witness.orders.clear()
        await until(lambda: "north" in made.witness.orders)
        assert len(list((tmp_path / "backups").iterdir())) == 1


async def test_a_step_that_is_not_deterministic_is_told_once_a_slip(tmp_path: Path) -> None:
    async with fakes(tmp_path) as made:
        await until(lambda: made.told)
        slipping = made.replicas["b"]
        for number in (1, 2):
            slipping.divergences = number
            slipping.tell(None)
            await until(lambda number=number: sum("not deterministic" in told for told in made.told) == number)
        assert "north: b came to another state than the active" in made.told[-1]
