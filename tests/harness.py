"""A pair and its witness (and spares) as real processes on loopback, for process tests and benchmarks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pairsim.client import AreaClient, ClientError, ProcessClient, new_id
from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member
from pairsim.model.commands import Command
from pairsim.model.geometry import Box
from pairsim.model.status import ReplicaStatus, Role

SECRET = "harness-secret-of-32-bytes-length"
TOKEN = "harness-token"
ROOT = Path(__file__).parent.parent
# A run that is killed takes its processes along.
_WITH_US = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
_PORTS = (15_000, 32_000)
"""Below the range that the kernel gives to outgoing connections."""
T = TypeVar("T")

SMALL = Box(min=(0.0, 0.0, 0.0), max=(100.0, 100.0, 100.0))


def spec(
    *,
    entities: int = 200,
    tick_rate: float = 20.0,
    collisions: bool = False,
    simulator: str = "physics",
    area: str = "area",
) -> AreaSpec:
    """An area in which every sphere has about one other within its reach."""
    side = max((entities * 4.19) ** (1 / 3), 20.0)
    box = Box(min=(0.0, 0.0, 0.0), max=(side, side, side))
    parameters: dict[str, bool | int | float | str] = {"collisions": collisions} if simulator == "physics" else {}
    return AreaSpec(
        area=area, plane="plane", simulator=simulator, parameters=parameters, seed=7, tick_rate=tick_rate,
        bounds=box, world=box, entities=entities,
    )  # fmt: skip


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at, nor is given for an outgoing connection while a process of ours is down."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = random.randint(*_PORTS)
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                ports.append(port)
        return ports


class Node:
    """One process with fixed ports and a folder.

    Attributes:
        prefix: What the command is run by, e.g. to start it in a network namespace.
        options: More arguments of the command.
        said: Where in the log the process that was started last begins.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        command: Sequence[str] = (sys.executable, "-m", "pairsim"),
        *,
        host: str = "127.0.0.1",
        prefix: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
    ) -> None:
        self.name, self.folder, self._log = name, folder / name, folder / f"{name}.log"
        http, peer = free_ports(2)
        self.http, self.peer, self.url = f"{host}:{http}", f"{host}:{peer}", f"http://{host}:{http}"
        self.client = ProcessClient(self.url, token=TOKEN, deadline=30.0)
        self.prefix, self.options = prefix, options
        self._command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.said = 0

    @property
    def member(self) -> Member:
        return Member(replica=self.name, peer=self.peer, url=self.url)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder.parent / "secret").write_text(SECRET)
        (self.folder.parent / "token").write_text(TOKEN)
        kind = "witness" if self.name.startswith("w") else "simulator"
        with self._log.open("ab") as output:
            self.said = output.tell()
            self.process = subprocess.Popen(
                [
                    *_WITH_US, *self.prefix, *self._command, kind,
                    "--name", self.name, "--http", self.http, "--peer", self.peer,
                    "--data", str(self.folder), "--secret-file", str(self.folder.parent / "secret"),
                    "--token-file", str(self.folder.parent / "token"), *self.options,
                ],
                cwd=ROOT, stdout=output, stderr=output,
            )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill -9, and waits for the process to be gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def memory(self) -> float:
        """Resident MB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1000
        raise AssertionError("no VmRSS")

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def status(self) -> ReplicaStatus | None:
        """What it says of itself; None while it cannot be reached."""
        try:
            return await self.client.status()
        except ClientError:
            return None


class Trio:
    """Two replicas, a witness, and spares."""

    def __init__(
        self, folder: Path, area: AreaSpec, spares: int = 0, *, node: Callable[[str, Path], Node] = Node
    ) -> None:
        self.area = area
        names = ["a", "b", "w", *(f"s{n}" for n in range(1, spares + 1))]
        self.nodes = {name: node(name, folder) for name in names}
        self.assignment = Assignment(
            spec=area, generation=1, replicas=(self.nodes["a"].member, self.nodes["b"].member),
            witness=self.nodes["w"].member,
        )  # fmt: skip
        self.client = AreaClient(
            [self.nodes["a"].url, self.nodes["b"].url], token=TOKEN, tick_rate=area.tick_rate, deadline=20.0
        )

    async def __aenter__(self) -> Self:
        try:
            for node in self.nodes.values():
                node.start()
            for node in self.nodes.values():
                await until(lambda node=node: reachable(node), f"{node.name} answers")
            await self.assign(self.assignment, ("a", "b", "w"))
            await self.redundant()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends everything."""
        self.stop()
        await self.client.close()
        for node in self.nodes.values():
            await node.client.close()

    def stop(self) -> None:
        for node in self.nodes.values():
            node.kill()

    async def assign(self, assignment: Assignment, targets: Sequence[str]) -> None:
        """Tells processes their place; to load a simulator may take them seconds on a busy machine."""

        async def tell(node: Node) -> None:
            async with ProcessClient(node.url, token=TOKEN, deadline=30.0) as client:
                await client.assign(assignment)

        await asyncio.gather(*(tell(self.nodes[name]) for name in targets))

    async def statuses(self) -> dict[str, ReplicaStatus]:
        nodes = [n for n in self.nodes.values() if not n.name.startswith("w")]
        found = await asyncio.gather(*(node.status() for node in nodes))
        return {node.name: status for node, status in zip(nodes, found, strict=True) if status is not None}

    async def active(self) -> Node | None:
        """The active, if one says that it is."""
        found = [(s.term, n) for n, s in (await self.statuses()).items() if s.role is Role.ACTIVE]
        return self.nodes[max(found)[1]] if found else None

    async def redundant(self, seconds: float = 30.0) -> tuple[Node, Node]:
        """Waits until the pair is redundant; its active and passive."""

        async def look() -> tuple[Node, Node] | None:
            statuses = await self.statuses()
            for name, status in statuses.items():
                if status.role is Role.ACTIVE and status.peer_in_sync:
                    other = next(m for m in status.members if m != name and not m.startswith("w"))
                    peer = statuses.get(other)
                    if peer is not None and peer.role is Role.PASSIVE and peer.term == status.term:
                        return self.nodes[name], self.nodes[other]
            return None

        return await until(look, "the pair is redundant", seconds)


async def reachable(node: Node) -> bool:
    """Whether a process answers."""
    assert node.process is not None
    if node.process.poll() is not None:
        raise AssertionError(f"{node.name} ended with {node.process.returncode}:\n{node.log()}")
    try:
        if node.name.startswith("w"):
            await node.client.witness_status()
        else:
            await node.client.status()
    except ClientError:
        return False
    return True


async def until(look: Callable[[], Awaitable[T | None]], what: str, seconds: float = 20.0) -> T:
    """Waits for a condition and returns what it found."""
    end = time.monotonic() + seconds
    while True:
        found = await look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s it is still not so that {what}")
        await asyncio.sleep(0.01)


def impulses(entity: int, count: int = 1) -> list[Command]:
    """Commands that every physics area takes."""
    return [Command(new_id(), "impulse", entity, {"impulse": [0.1, 0.0, 0.0]}) for _ in range(count)]


async def some_entity(client: AreaClient) -> int:
    """Any entity of the area."""
    return (await client.entities(limit=1)).entities[0].id
