"""Redis Sentinel beside it: what many use to fail over, with its down-after set to the same 150 ms.

It replicates asynchronously, so unlike a pair it may lose what it acknowledged; only the time is compared.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import time
from pathlib import Path

import click

from tests.benchmarks.figures import Figure, times
from tests.harness import free_ports, until

_DOWN_MS = 150


async def _ask(port: int, *words: str) -> bytes:
    """One command in Redis' protocol; empty when nobody answers."""
    try:
        async with asyncio.timeout(0.5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"*%d\r\n" % len(words))
                for word in words:
                    writer.write(b"$%d\r\n%s\r\n" % (len(word), word.encode()))
                await writer.drain()
                return await reader.read(4096)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


class Sentinel:
    """Two servers, three sentinels."""

    def __init__(self, folder: Path) -> None:
        ports = free_ports(5)
        self.servers, self._sentinels, self._folder = ports[:2], ports[2:], folder
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True)

    def serve(self, port: int, master: int | None) -> None:
        replica = ["--replicaof", "127.0.0.1", str(master)] if master else []
        folder = self._folder / str(port)
        folder.mkdir(exist_ok=True)
        self._run(port, ["redis-server", "--port", str(port), "--dir", str(folder), "--save", "", *replica,
                         "--repl-diskless-sync-delay", "0"])  # fmt: skip

    def start(self) -> None:
        self.serve(self.servers[0], None)
        self.serve(self.servers[1], self.servers[0])
        for port in self._sentinels:
            conf = self._folder / f"{port}.conf"
            conf.write_text(
                f"port {port}\nsentinel monitor m 127.0.0.1 {self.servers[0]} 2\n"
                f"sentinel down-after-milliseconds m {_DOWN_MS}\nsentinel failover-timeout m 2000\n"
            )
            self._run(port, ["redis-sentinel", str(conf)])

    def _run(self, port: int, command: list[str]) -> None:
        self.processes[port] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def settled(self) -> bool:
        """Whether the replica is in sync, and all sentinels know it and one another."""
        state = await _ask(self.servers[0], "INFO", "replication")
        told = [await _ask(sentinel, "SENTINEL", "master", "m") for sentinel in self._sentinels]
        return b"state=online" in state and all(
            b"num-slaves\r\n$1\r\n1\r\n" in t and b"num-other-sentinels\r\n$1\r\n2\r\n" in t for t in told
        )

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


async def _one_loss(folder: Path) -> float:
    """Milliseconds; a cluster of its own, since Sentinel delays a second failover of the same master."""
    cluster = Sentinel(folder)
    try:
        cluster.start()
        await until(cluster.settled, "Sentinel has a master with a replica", 60)
        await asyncio.sleep(1)
        master, replica = cluster.servers
        began = time.perf_counter()
        cluster.processes[master].send_signal(signal.SIGKILL)
        async with asyncio.timeout(30):
            while not (await _ask(replica, "SET", "k", "v")).startswith(b"+OK"):
                await asyncio.sleep(0.001)
        return (time.perf_counter() - began) * 1e3
    finally:
        cluster.stop()


async def losses(folder: Path, n: int) -> list[Figure]:
    """Kill -9 of the master to the first write that the replica takes."""
    if shutil.which("redis-sentinel") is None or shutil.which("redis-server") is None:
        click.echo("Redis Sentinel is not installed (Debian: apt-get install redis-sentinel), so it is left out")
        return []
    waits = [await _one_loss(folder / "sentinel" / str(number)) for number in range(n)]
    return [times(f"Redis Sentinel, down after {_DOWN_MS} ms: kill -9 of the master to the next write", waits)]
