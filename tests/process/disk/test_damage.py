"""Files that are damaged, torn, or somebody else's."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from pathlib import Path

import pytest

from pairsim.model.status import Role
from tests.harness import Node, Trio, until
from tests.process.traffic import flowing
from tests.process.trios import role_of


async def test_a_damaged_checkpoint_is_named_and_the_older_one_is_taken(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        _active, passive = await trio.redundant()
        await until(partial(two_checkpoints, passive), "there are two checkpoints")
        passive.kill()
        flip(checkpoints(passive)[-1])
        await traffic.moved_on()
        passive.start()
        await trio.redundant()
        assert "a checkpoint is of no use" in passive.log()[passive.said :]
        assert "its checksum is wrong" in passive.log()[passive.said :]


async def test_one_replica_without_any_checkpoint_is_made_whole_by_the_other_after_all_were_killed(trio: Trio) -> None:
    async with flowing(trio):
        active, passive = await trio.redundant()
        await until(partial(two_checkpoints, active), "there are two checkpoints")
        killed = [active, passive, trio.nodes["w"]]
        for node in killed:
            node.kill()
        damaged = checkpoints(active)
        for path in damaged:
            flip(path)
        for node in killed:
            node.start()
        await trio.redundant(60)
        assert active.log()[active.said :].count("a checkpoint is of no use") == len(damaged)


async def two_checkpoints(node: Node) -> bool:
    return len(checkpoints(node)) >= 2


def checkpoints(node: Node) -> list[Path]:
    """Oldest first."""
    return sorted(node.folder.glob("areas/area/checkpoint-*.bin"))


@pytest.mark.parametrize("victim", ["passive", "witness"])
async def test_a_damaged_journal_takes_the_vote_away_until_its_member_has_caught_up(trio: Trio, victim: str) -> None:
    async with flowing(trio) as traffic:
        active, passive = await trio.redundant()
        node = passive if victim == "passive" else trio.nodes["w"]
        node.kill()
        flip(journal(node))
        await traffic.moved_on()
        node.start()
        await until(partial(logged, node, "caught up with the leader"), f"{node.name} votes again")
        assert "a journal is damaged" in node.log()[node.said :]
        await trio.redundant()
        active.kill()
        await traffic.moved_on()
        assert await role_of(passive) is Role.ACTIVE
        active.start()


async def test_a_torn_tail_of_the_journal_is_cut_off(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        _active, passive = await trio.redundant()
        passive.kill()
        with journal(passive).open("r+b") as file:
            beginning = file.read(10)  # a record that was not written to its end
            file.seek(0, 2)
            file.write(beginning)
        await traffic.moved_on()
        passive.start()
        await trio.redundant()
        assert "a journal is damaged" not in passive.log()[passive.said :]


async def logged(node: Node, words: str) -> bool:
    """Whether the process that runs now has said something; a line of an earlier one does not count."""
    return words in node.log()[node.said :]


def journal(node: Node) -> Path:
    """Of the newest generation."""
    return max(node.folder.glob("areas/area/generation-*.journal"), key=lambda path: path.stat().st_mtime)


def flip(path: Path, back: int = 20) -> None:
    """Changes one byte near the end."""
    data = bytearray(path.read_bytes())
    data[-back] ^= 0xFF
    path.write_bytes(data)


async def test_the_journal_of_another_member_is_refused_with_a_sentence(trio: Trio) -> None:
    active, passive = await trio.redundant()
    passive.kill()
    own, kept = journal(passive), passive.folder / "kept"
    shutil.copy(own, kept)
    shutil.copy(journal(active), own)
    passive.start()
    assert passive.process is not None
    assert await asyncio.to_thread(passive.process.wait, 20) != 0
    said = passive.log()[passive.said :]
    generation = trio.assignment.generation
    assert f"belongs to area/{generation}/{active.name}, not to area/{generation}/{passive.name}" in said
    assert "Traceback" not in said
    kept.replace(own)
    passive.start()
    await trio.redundant()


async def test_a_folder_is_for_one_process(trio: Trio) -> None:
    second = Node("a", trio.nodes["a"].folder.parent)
    second.start()
    assert second.process is not None
    assert await asyncio.to_thread(second.process.wait, 20) == 1
    assert "is in use by another process" in second.log()[second.said :]
