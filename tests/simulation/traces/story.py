"""Runs a story: its commands drive a world in virtual time, and its output is what the protocol did.

start                     lets a new pair run for a second, and shows its members
run 500ms | run 2s        lets time pass
kill a | kill a lose-disk kills a process, and deletes its files
restart a                 starts it again, on the files that it has
halt a | resume a         stops and continues a process, as SIGSTOP and SIGCONT do
cut a b | heal            cuts the network between two processes, and repairs all cuts
switchover                asks the active to hand over to the passive
replace b with s1         asks for the next generation, in which a spare has the place of a member
send 3                    lets the client send three commands
status                    shows the members of the newest generation
"""

from __future__ import annotations

import re

from pairsim.model.assignment import Assignment
from pairsim.replication.raft import replicator, snapshots
from pairsim.replication.replica.node import AreaNode
from pairsim.replication.service import RefusedError
from tests.simulation.traces.client import ScriptedClient
from tests.simulation.traces.observer import WorldObserver
from tests.simulation.traces.recorder import Recorder
from tests.simulation.traces.script import Block, Script
from tests.simulation.world import World

SEED = 4
HANDOVER_SECONDS = 1.0
CONTROLLER_MILLISECONDS = 10
"""How often the controller repeats an assignment that is not in force yet; a `run` takes a multiple of it."""


def replay(script: Script, seed: int = SEED) -> Script:
    """Returns the script with the output that its commands give now.

    Raises:
        Violation: An invariant does not hold.
    """
    story = Story(seed)
    blocks = tuple(Block(block.commands, story.run_block(block.commands)) for block in script.blocks)
    story.world.check_end()
    return Script(script.prose, blocks)


class Story:
    """A world, its client and its controller, driven by commands."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed, prepare=self._prepare)
        self._following: Assignment | None = None

    def _prepare(self, world: World) -> None:
        # The sizes of the product, which a world draws by chance.
        snapshots.COMPACT_ENTRIES, snapshots.CHUNK_BYTES, replicator.BURST_BYTES = 2_000, 256 * 1024, 4 * 2**20
        self._recorder = Recorder(world.clock)
        self._observer = WorldObserver(world, self._recorder)
        self._client = world.client = ScriptedClient(world.oracle, self._recorder)

    def run_block(self, commands: tuple[str, ...]) -> tuple[str, ...]:
        """Runs commands; returns the output."""
        for command in commands:
            self._run_command(command)
        self._observer.summarise()
        return self._recorder.take()

    def _run_command(self, command: str) -> None:
        verb, *arguments = command.split()
        method = getattr(self, f"_do_{verb}", None)
        if method is None:
            raise ValueError(f"unknown command {command!r}: the docstring of {__name__} lists the commands")
        if verb not in {"start", "run", "status"}:
            self._recorder.mark(command)
        method(*arguments)

    def _do_start(self) -> None:
        self._do_run("1s")
        self._recorder.clear()
        self._do_status()

    def _do_run(self, duration: str) -> None:
        match = re.fullmatch(r"(\d+)(ms|s)", duration)
        if match is None:
            raise ValueError(f"the duration {duration!r} is not a number of 'ms' or 's'")
        for _ in range(int(match[1]) * (1000 if match[2] == "s" else 1) // CONTROLLER_MILLISECONDS):
            self._advance()
            self._reclaim()
            self.world.run(CONTROLLER_MILLISECONDS / 1000)

    def _do_kill(self, name: str, *options: str) -> None:
        process = self.world.processes[name]
        process.crash(lose_disk=options == ("lose-disk",))
        self._observer.compare(process)

    def _do_restart(self, name: str) -> None:
        process = self.world.processes[name]
        process.start(process.resources.saved or self.world.newest())

    def _do_halt(self, name: str) -> None:
        self.world.halt(name)

    def _do_resume(self, name: str) -> None:
        self.world.resume(name)

    def _do_cut(self, first: str, second: str) -> None:
        self.world.network.cut |= {(first, second), (second, first)}

    def _do_heal(self) -> None:
        self.world.network.cut.clear()

    def _do_switchover(self) -> None:
        try:
            self._active().request_switchover(self.world.clock.now + HANDOVER_SECONDS)
        except RefusedError as error:
            self._recorder.note(f"refused: {error}")

    def _do_send(self, count: str) -> None:
        self._client.ask(int(count))

    def _do_replace(self, lost: str, _with: str, spare: str) -> None:
        current = self.world.newest()
        first, second, witness = (spare if m.replica == lost else m.replica for m in current.members())
        self._following = self.world.generation(current.generation + 1, (first, second), (spare,), witness)
        self.world.processes[spare].start(self._following)

    def _advance(self) -> None:
        """Repeats the next assignment until it is in force, as the controller does."""
        active = self.world.active()
        if self._following is None or active is None or not isinstance(active.node, AreaNode):
            return
        if active.node.membership.assignment.generation >= self._following.generation:
            self._following = None
        else:
            active.node.advance_to(self._following)

    def _reclaim(self) -> None:
        """Ends what a retired process still runs, as a process does: it is a spare then."""
        for process in self.world.processes.values():
            if process.retired and process.node is not None:
                process.crash(lose_disk=True)
                self._observer.compare(process)

    def _active(self) -> AreaNode:
        active = self.world.active()
        assert active is not None
        assert isinstance(active.node, AreaNode)
        return active.node

    def _do_status(self) -> None:
        for name in self.world.members():
            self._recorder.table(self._status(name))

    def _status(self, name: str) -> str:
        process = self.world.processes[name]
        node = process.node
        if node is None:
            return f"{name:<3} down"
        membership = node.membership
        role = "witness"
        if isinstance(node, AreaNode):
            role = "active" if node.replica.active else "passive"
        halted = ", halted" if name in self.world.network.halted else ""
        votes = "votes" if membership.group.voter else "does not vote"
        return (
            f"{name:<3} {role:<7}  generation {membership.assignment.generation}, term {node.log.term},"
            f" committed tick {node.log.tick}, {votes}{halted}"
        )
