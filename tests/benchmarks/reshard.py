"""Redis Cluster beside it: 100,000 keys move from one master to another one, and a master is killed midway.

It is what many use to spread state over machines that changes hands while it is used. `redis-cli --cluster reshard`
moves the keys and ends with an error when the master is lost. Then a replica takes over, and an operator lets the
cluster forget the lost master and calls `redis-cli --cluster fix` for the slot that was on its way. After that each key
should be at one master. Redis replicates asynchronously, and does not replicate a move as one step.
"""

from __future__ import annotations

import asyncio
import binascii
import itertools
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import click

from tests.benchmarks.figures import Figure, single
from tests.harness import free_ports, until

KEYS = 100_000
_VALUE = b"v" * 100
_SLOTS = 16_384
_MASTERS = 3
_BATCH = 1_000
_NODE_TIMEOUT_MS = 1_000
_DEADLINE_SECONDS = 180.0


class RedisCluster:
    """Three masters with a replica each, on loopback. Only `redis-cli` moves slots."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.ports = free_ports(2 * _MASTERS)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        buses = iter(free_ports(2 * _MASTERS))
        for port in self.ports:
            own = folder / str(port)
            own.mkdir()
            self.processes[port] = subprocess.Popen(
                [
                    "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(own), "--save", "",
                    "--appendonly", "yes", "--cluster-enabled", "yes", "--cluster-port", str(next(buses)),
                    "--cluster-node-timeout", str(_NODE_TIMEOUT_MS), "--repl-diskless-sync-delay", "0",
                ],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    async def start(self) -> None:
        await until(self._answer, "the servers answer", 30)
        nodes = [f"127.0.0.1:{port}" for port in self.ports]
        made = await _cli("--cluster", "create", *nodes, "--cluster-replicas", "1", "--cluster-yes")
        if made[0]:
            raise AssertionError(f"redis-cli made no cluster: {made[1][-500:]}")
        await until(lambda: self.agrees(self.ports[0]), "the cluster agrees", 60)

    async def _answer(self) -> bool:
        return all([(await ask(port, "PING")).startswith("PONG") for port in self.ports])

    async def agrees(self, port: int) -> bool:
        """Returns whether all slots are served, as a server sees it."""
        return "cluster_state:ok" in await ask(port, "CLUSTER", "INFO")

    async def nodes(self, port: int) -> list[list[str]]:
        """Returns the fields of all nodes, as a server sees them."""
        return [line.split() for line in (await ask(port, "CLUSTER", "NODES")).splitlines() if line]

    async def masters(self, port: int) -> list[int]:
        """Returns the ports of the masters that live, as a server sees them."""
        lines = await self.nodes(port)
        return [_port(line) for line in lines if "master" in line[2] and "fail" not in line[2]]

    async def replaced(self, port: int, lost: int) -> bool:
        """Returns whether there are as many masters again without a lost one, as a server sees it."""
        masters = await self.masters(port)
        return len(masters) == _MASTERS and lost not in masters

    async def repaired(self, port: int) -> bool:
        """Returns whether all servers agree and serve all slots after another attempt to repair them."""
        return not (await _cli("--cluster", "fix", f"127.0.0.1:{port}", "--cluster-yes"))[0] and await self.agrees(port)

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


async def _cli(*words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "redis-cli", *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _DEADLINE_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode(errors="replace")


async def ask(port: int, *words: str) -> str:
    """Returns what a server answers to one command; empty if it does not answer."""
    return (await _cli("-p", str(port), *words))[1]


def _port(line: list[str]) -> int:
    return int(line[1].split("@")[0].rpartition(":")[2])


def keys_of(low: int, high: int) -> list[bytes]:
    """Returns `KEYS` keys whose slots are from `low` to `high`, evenly."""
    names = (b"entity-%d" % number for number in itertools.count())
    return list(itertools.islice((n for n in names if low <= binascii.crc_hqx(n, 0) % _SLOTS <= high), KEYS))


async def _load(port: int, keys: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for at in range(0, len(keys), _BATCH):
        batch = keys[at : at + _BATCH]
        writer.writelines(
            b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(_VALUE), _VALUE) for key in batch
        )
        await writer.drain()
        for _ in batch:
            if await reader.readline() != b"+OK\r\n":
                raise AssertionError("Redis did not take a key")
    writer.close()


async def _move(cluster: RedisCluster, *, kill: bool) -> list[Figure]:
    port = cluster.ports[0]
    lines = await cluster.nodes(port)
    source = next(line for line in lines if _port(line) == port)
    target = next(line for line in lines if "master" in line[2] and _port(line) != port)
    low, high = map(int, source[8].split("-"))
    keys = keys_of(low, high)
    await _load(port, keys)
    asked = next(known for known in cluster.ports[1:] if known != _port(target))
    began = time.perf_counter()
    moving = asyncio.create_task(
        _cli(
            "--cluster", "reshard", f"127.0.0.1:{asked}", "--cluster-from", source[0], "--cluster-to", target[0],
            "--cluster-slots", str(high - low + 1), "--cluster-yes", "--cluster-pipeline", "100",
        )
    )  # fmt: skip
    if kill:
        await until(lambda: _has(_port(target), KEYS // 2), "half of the keys have moved", 120)
        cluster.processes[port].send_signal(signal.SIGKILL)
    code, output = await moving
    seconds = time.perf_counter() - began
    if not kill:
        if code:
            raise AssertionError(f"redis-cli could not move the keys: {output[-500:]}")
        return [single("Redis Cluster: keys that change their master", "1/s", KEYS / seconds)]
    await until(lambda: cluster.replaced(asked, port), "a replica takes over", 60)
    for living in cluster.ports[1:]:
        await ask(living, "CLUSTER", "FORGET", source[0])
    await until(lambda: cluster.repaired(asked), "redis-cli repairs the cluster", 60)
    repaired = time.perf_counter() - began - seconds
    places = Counter[str]()
    for master in await cluster.masters(asked):
        places.update((await ask(master, "KEYS", "*")).split())
    prefix = "Redis Cluster, kill -9 of the source midway:"
    return [
        single(f"{prefix} resharding ended with an error (1) or not (0)", "", float(bool(code))),
        single(f"{prefix} from that error until all slots are served, repaired by hand", "s", repaired),
        single(f"{prefix} keys lost", "", sum(not places[key.decode()] for key in keys)),
        single(f"{prefix} keys at two masters", "", sum(places[key.decode()] > 1 for key in keys)),
    ]


async def _has(port: int, count: int) -> bool:
    return int((await ask(port, "DBSIZE")).split()[-1]) >= count


async def reshard(folder: Path) -> list[Figure]:
    """Moves the keys once undisturbed, and once with the loss of the source."""
    if shutil.which("redis-server") is None:
        click.echo("Redis is not installed (Debian: apt-get install redis-server), so it is left out")
        return []
    figures: list[Figure] = []
    for kill in (False, True):
        cluster = RedisCluster(folder / f"redis-{kill}")
        try:
            await cluster.start()
            figures += await _move(cluster, kill=kill)
        finally:
            cluster.stop()
    return figures
