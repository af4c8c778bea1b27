"""Files that are damaged, torn, or somebody else's."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from pairsim.model.assignment import Role
from tests.harness import Node, Trio, until
from tests.process.traffic import flowing
from tests.process.trios import role_of, shown, wide

_OFTEN = ("--checkpoint-seconds", "0.5")


@pytest.fixture
async def writing(tmp_path: Path) -> AsyncIterator[Trio]:
    """A pair that writes checkpoints often, so that there are two soon."""

    def node(name: str, folder: Path) -> Node:
        return Node(name, folder, options=_OFTEN)

    async with shown(Trio(tmp_path, wide(), node=node)) as trio:
        yield trio


async def test_a_damaged_checkpoint_is_named_and_the_older_one_is_taken(writing: Trio) -> None:
    async with flowing(writing) as traffic:
        _active, passive = await writing.redundant()
        await until(partial(two_checkpoints, passive), "there are two checkpoints")
        passive.kill()
        flip(checkpoints(passive)[-1])
        await traffic.moved_on()
        passive.start()
        await writing.redundant()
        assert "a checkpoint is of no use" in passive.log()
        assert "its checksum is wrong" in passive.log()


async def test_one_replica_without_any_checkpoint_is_made_whole_by_the_other_after_all_were_killed(
    writing: Trio,
) -> None:
    async with flowing(writing):
        active, _passive = await writing.redundant()
        await until(partial(two_checkpoints, active), "there are two checkpoints")
        for node in writing.nodes.values():
            node.kill()
        for path in checkpoints(active):
            flip(path)
        for node in writing.nodes.values():
            node.start()
        await writing.redundant(60)
        assert active.log().count("a checkpoint is of no use") >= 2


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
        assert "a journal is damaged" in node.log()
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
        assert "a journal is damaged" not in passive.log()


async def logged(node: Node, words: str) -> bool:
    """Whether the process that runs now has said something; a line of an earlier one does not count."""
    return words in node.log()[node.said :]


def journal(node: Node) -> Path:
    return node.folder / "areas" / "area" / "generation-1.journal"


def flip(path: Path, back: int = 20) -> None:
    """Changes one byte near the end."""
    data = bytearray(path.read_bytes())
    data[-back] ^= 0xFF
    path.write_bytes(data)


async def test_the_journal_of_another_member_is_refused_with_a_sentence(trio: Trio) -> None:
    active, passive = await trio.redundant()
    passive.kill()
    shutil.copy(journal(active), journal(passive))
    passive.start()
    assert passive.process is not None
    assert await asyncio.to_thread(passive.process.wait, 20) != 0
    said = passive.log()[passive.said :]
    assert f"belongs to area/1/{active.name}, not to area/1/{passive.name}" in said
    assert "Traceback" not in said


async def test_a_folder_is_for_one_process(trio: Trio) -> None:
    second = Node("a", trio.nodes["a"].folder.parent)
    second.start()
    assert second.process is not None
    assert await asyncio.to_thread(second.process.wait, 20) == 1
    assert "is in use by another process" in second.log()
