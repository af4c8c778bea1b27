"""etcd beside it: three members tuned to the same election timeout; kill -9 of the leader to the next write.

An etcd cluster replicates a log like a pair does, and simulates nothing: it is what the takeover can be held against.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import signal
import subprocess
import time
from pathlib import Path

import aiohttp
import click

from tests.benchmarks.figures import Figure, times
from tests.harness import free_ports, until

_HEARTBEAT_MS, _ELECTION_MS = 30, 150


class Etcd:
    """Three members on loopback."""

    def __init__(self, folder: Path) -> None:
        ports = free_ports(6)
        self.clients = [f"http://127.0.0.1:{port}" for port in ports[:3]]
        self._peers = [f"http://127.0.0.1:{port}" for port in ports[3:]]
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes] | None] = [None] * 3

    def start(self, place: int) -> None:
        cluster = ",".join(f"m{i}={peer}" for i, peer in enumerate(self._peers))
        folder = self._folder / f"m{place}"
        state = "existing" if folder.exists() else "new"
        self.processes[place] = subprocess.Popen(
            [
                "etcd", "--name", f"m{place}", "--data-dir", str(folder), "--log-level", "error",
                "--listen-client-urls", self.clients[place], "--advertise-client-urls", self.clients[place],
                "--listen-peer-urls", self._peers[place], "--initial-advertise-peer-urls", self._peers[place],
                "--initial-cluster", cluster, "--initial-cluster-state", state,
                "--heartbeat-interval", str(_HEARTBEAT_MS), "--election-timeout", str(_ELECTION_MS),
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def stop(self) -> None:
        for process in self.processes:
            if process is not None:
                process.kill()
                process.wait()


async def _put(session: aiohttp.ClientSession, url: str, seconds: float) -> bool:
    body = {"key": base64.b64encode(b"k").decode(), "value": base64.b64encode(b"v" * 100).decode()}
    try:
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with session.post(f"{url}/v3/kv/put", json=body, timeout=timeout) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _leader(session: aiohttp.ClientSession, cluster: Etcd) -> int | None:
    for place, url in enumerate(cluster.clients):
        try:
            async with session.post(f"{url}/v3/maintenance/status", json={}) as answer:
                status = await answer.json()
        except aiohttp.ClientError:
            return None
        if status.get("leader") == status.get("header", {}).get("member_id"):
            return place
    return None


async def losses(folder: Path, n: int) -> list[Figure]:
    """Kill -9 of the leader to the first write that another member takes."""
    if shutil.which("etcd") is None:
        click.echo("etcd is not installed (Debian: apt-get install etcd-server), so it is left out")
        return []
    cluster, waits = Etcd(folder / "etcd"), []
    (folder / "etcd").mkdir()
    try:
        for place in range(3):
            cluster.start(place)
        async with aiohttp.ClientSession() as session:
            for number in range(n):
                leader = await until(lambda: _leader_found(session, cluster), "etcd has a leader", 30)
                await asyncio.sleep(0.7)
                others = [url for place, url in enumerate(cluster.clients) if place != leader[0]]
                process = cluster.processes[leader[0]]
                assert process is not None
                began = time.perf_counter()
                process.send_signal(signal.SIGKILL)
                while not await _put(session, others[number % 2], 0.5):
                    await asyncio.sleep(0.001)
                waits.append((time.perf_counter() - began) * 1e3)
                process.wait()
                cluster.start(leader[0])
    finally:
        cluster.stop()
    name = f"etcd, election timeout {_ELECTION_MS} ms: kill -9 of the leader to the next write"
    return [times(name, waits)]


async def _leader_found(session: aiohttp.ClientSession, cluster: Etcd) -> tuple[int] | None:
    place = await _leader(session, cluster)
    return None if place is None else (place,)
