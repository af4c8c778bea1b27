"""Files are damaged, incomplete, or belong to another process."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from pathlib import Path

import pytest

from pairsim.model.status import Role
from tests.harness import Node, RunningPair, until
from tests.process.shared_pairs import role_of
from tests.process.traffic import under_traffic


async def test_a_damaged_checkpoint_is_reported_and_the_older_one_loaded(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        _active, passive = await pair.wait_until_redundant()
        await until(partial(two_checkpoints, passive), "there are two checkpoints")
        passive.kill()
        flip(checkpoints(passive)[-1])
        await traffic.wait_for_progress()
        passive.start()
        await pair.wait_until_redundant()
        assert "ignored unreadable checkpoint" in passive.log()[passive.log_start :]
        assert "its checksum is wrong" in passive.log()[passive.log_start :]


async def test_a_replica_without_checkpoints_recovers_from_the_other_after_all_are_killed(pair: RunningPair) -> None:
    async with under_traffic(pair):
        active, passive = await pair.wait_until_redundant()
        await until(partial(two_checkpoints, active), "there are two checkpoints")
        killed = [active, passive, pair.nodes["w"]]
        for node in killed:
            node.kill()
        damaged = checkpoints(active)
        for path in damaged:
            flip(path)
        for node in killed:
            node.start()
        await pair.wait_until_redundant(60)
        assert active.log()[active.log_start :].count("ignored unreadable checkpoint") == len(damaged)


async def two_checkpoints(node: Node) -> bool:
    return len(checkpoints(node)) >= 2


def checkpoints(node: Node) -> list[Path]:
    """Returns the checkpoint files, oldest first."""
    return sorted(node.folder.glob("areas/area/checkpoint-*.bin"))


@pytest.mark.parametrize("victim", ["passive", "witness"])
async def test_a_member_with_a_damaged_journal_does_not_vote_until_it_has_caught_up(
    pair: RunningPair, victim: str
) -> None:
    async with under_traffic(pair) as traffic:
        active, passive = await pair.wait_until_redundant()
        node = passive if victim == "passive" else pair.nodes["w"]
        node.kill()
        flip(journal(node))
        await traffic.wait_for_progress()
        node.start()
        await until(partial(logged, node, "caught up with the leader"), f"{node.name} votes again")
        assert "a journal is damaged" in node.log()[node.log_start :]
        await pair.wait_until_redundant()
        active.kill()
        await traffic.wait_for_progress()
        assert await role_of(passive) is Role.ACTIVE
        active.start()


async def test_an_incomplete_record_at_the_end_of_the_journal_is_cut_off(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        _active, passive = await pair.wait_until_redundant()
        passive.kill()
        with journal(passive).open("r+b") as file:
            beginning = file.read(10)  # an incomplete record
            file.seek(0, 2)
            file.write(beginning)
        await traffic.wait_for_progress()
        passive.start()
        await pair.wait_until_redundant()
        assert "a journal is damaged" not in passive.log()[passive.log_start :]


async def logged(node: Node, words: str) -> bool:
    """Returns whether the running process has logged a text; lines of earlier starts do not count."""
    return words in node.log()[node.log_start :]


def journal(node: Node) -> Path:
    """Returns the journal file of the newest generation."""
    return max(node.folder.glob("areas/area/generation-*.journal"), key=lambda path: path.stat().st_mtime)


def flip(path: Path, back: int = 20) -> None:
    """Changes one byte near the end."""
    data = bytearray(path.read_bytes())
    data[-back] ^= 0xFF
    path.write_bytes(data)


async def test_the_journal_of_another_member_is_refused_with_an_error(pair: RunningPair) -> None:
    active, passive = await pair.wait_until_redundant()
    passive.kill()
    own, kept = journal(passive), passive.folder / "kept"
    shutil.copy(own, kept)
    shutil.copy(journal(active), own)
    passive.start()
    assert passive.process is not None
    assert await asyncio.to_thread(passive.process.wait, 20) != 0
    said = passive.log()[passive.log_start :]
    generation = pair.assignment.generation
    assert f"belongs to area/{generation}/{active.name}, not to area/{generation}/{passive.name}" in said
    assert "Traceback" not in said
    kept.replace(own)
    passive.start()
    await pair.wait_until_redundant()


async def test_a_folder_is_used_by_one_process_only(pair: RunningPair) -> None:
    second = Node("a", pair.nodes["a"].folder.parent)
    second.start()
    assert second.process is not None
    assert await asyncio.to_thread(second.process.wait, 20) == 1
    assert "is in use by another process" in second.log()[second.log_start :]
