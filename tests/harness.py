"""A pair, its witness and spares as real processes on loopback, for process tests and benchmarks."""

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
from pairsim.model.status import ReplicaStatus, Role
from tests import builders

SECRET = "harness-secret-of-32-bytes-length"
TOKEN = "harness-token"
ROOT = Path(__file__).parent.parent
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
"""The prefix of a command that lets the kernel kill its process when the test process dies."""

_PORTS = (15_000, 32_000)
"""The ports to draw from, below the range that the kernel uses for outgoing connections."""

T = TypeVar("T")


def spec(
    *,
    entities: int = 200,
    tick_rate: float = 20.0,
    collisions: bool = False,
    simulator: str = "physics",
    area: str = "area",
) -> AreaSpec:
    """Returns an area in which every sphere has about one other sphere within its reach."""
    side = max((entities * 4.19) ** (1 / 3), 20.0)
    parameters: dict[str, bool | int | float | str] = {"collisions": collisions} if simulator == "physics" else {}
    return builders.area(
        area, plane="plane", simulator=simulator, parameters=parameters, seed=7, tick_rate=tick_rate,
        bounds=builders.cube(side), entities=entities,
    )  # fmt: skip


def free_ports(count: int) -> list[int]:
    """Returns unused ports, which the kernel does not use for outgoing connections while a process is down."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = random.randint(*_PORTS)
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                ports.append(port)
        return ports


class Node:
    """A simulator or witness process with fixed ports and a folder; it can be killed and started again.

    Attributes:
        prefix: A command that runs the process, for example in a network namespace.
        options: Additional arguments of the process.
        log_start: The position in the log at which the output of the newest start begins.
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
        self.log_start = 0

    @property
    def member(self) -> Member:
        return Member(replica=self.name, peer=self.peer, url=self.url)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, content in (("secret", SECRET), ("token", TOKEN)):
            if not (self.folder.parent / name).exists():  # another node may be reading it
                (self.folder.parent / name).write_text(content)
        kind = "witness" if self.name.startswith("w") else "simulator"
        with self._log.open("ab") as output:
            self.log_start = output.tell()
            self.process = subprocess.Popen(
                [
                    *DIE_WITH_PARENT, *self.prefix, *self._command, kind,
                    "--name", self.name, "--http", self.http, "--peer", self.peer,
                    "--data", str(self.folder), "--secret-file", str(self.folder.parent / "secret"),
                    "--token-file", str(self.folder.parent / "token"), *self.options,
                ],
                cwd=ROOT, stdout=output, stderr=output,
            )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills the process with SIGKILL and waits for its end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def memory(self) -> float:
        """Returns the resident memory in MB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1000
        raise AssertionError("no VmRSS")

    def cpu(self) -> float:
        """Returns the processor time so far, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def status(self) -> ReplicaStatus | None:
        """Returns the status that the process reports; None while it cannot be reached."""
        try:
            return await self.client.status()
        except ClientError:
            return None


class RunningPair:
    """A pair with its witness, and spares, as processes."""

    def __init__(
        self, folder: Path, area: AreaSpec, spares: int = 0, *, node: Callable[[str, Path], Node] = Node
    ) -> None:
        self.area = area
        names = ["a", "b", "w", *(f"s{n}" for n in range(1, spares + 1))]
        self.nodes = {name: node(name, folder) for name in names}
        self.assignment = builders.assignment(*(self.nodes[name].member for name in ("a", "b", "w")), spec=area)
        self.client = AreaClient(
            [self.nodes["a"].url, self.nodes["b"].url], token=TOKEN, tick_rate=area.tick_rate, deadline=20.0
        )

    async def __aenter__(self) -> Self:
        try:
            for node in self.nodes.values():
                node.start()
            for node in self.nodes.values():
                await until(lambda node=node: reachable(node), f"{node.name} answers", 60)
            await self.assign(self.assignment, ("a", "b", "w"))
            await self.wait_until_redundant()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Kills all processes and closes all clients."""
        self.stop()
        await self.client.close()
        for node in self.nodes.values():
            await node.client.close()

    def stop(self) -> None:
        """Kills all processes."""
        for node in self.nodes.values():
            node.kill()

    async def assign(self, assignment: Assignment, targets: Sequence[str]) -> None:
        """Assigns processes to the area; on a busy machine a process may need seconds to load its simulator."""

        async def send(node: Node) -> None:
            async with ProcessClient(node.url, token=TOKEN, deadline=30.0) as client:
                await client.assign(assignment)

        await asyncio.gather(*(send(self.nodes[name]) for name in targets))

    async def statuses(self) -> dict[str, ReplicaStatus]:
        nodes = [n for n in self.nodes.values() if not n.name.startswith("w")]
        found = await asyncio.gather(*(node.status() for node in nodes))
        return {node.name: status for node, status in zip(nodes, found, strict=True) if status is not None}

    async def active(self) -> Node | None:
        """Returns the replica that reports to be the active, of the highest term; None without one."""
        found = [(s.term, n) for n, s in (await self.statuses()).items() if s.role is Role.ACTIVE]
        return self.nodes[max(found)[1]] if found else None

    async def wait_until_redundant(self, seconds: float = 30.0) -> tuple[Node, Node]:
        """Waits until the pair is redundant, and returns its active and its passive."""

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
    """Returns whether a process answers; fails if it has ended."""
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
    """Waits until `look` returns a true value, and returns that value; `what` describes the condition."""
    end = time.monotonic() + seconds
    while True:
        found = await look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not true after {seconds} s: {what}")
        await asyncio.sleep(0.01)


def impulses(entity: int, count: int = 1) -> list[Command]:
    """Returns commands that every physics area accepts."""
    return [Command(new_id(), "impulse", entity, {"impulse": [0.1, 0.0, 0.0]}) for _ in range(count)]


async def some_entity(client: AreaClient) -> int:
    """Returns the id of some entity of the area."""
    return (await client.entities(limit=1)).entities[0].id
