"""`python -m tests.process.fuzz`: sends hostile messages to all ports of a running world, and says what they did.

No answer may be an error 500, no process may end or grow, no active may change, and the area keeps its tick rate.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import click
import msgspec

from tests.process.hostile_messages import hostile_text, http_request, malformed_request, peer_bytes
from tests.process.world.running_worlds import RunningWorld

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_PIPELINED = 20
_ANSWER_SECONDS = 5.0
_SETTLED_SHARE = 0.2
"""The part of the messages after which memory is measured for the first time: caches and pools are full then."""


class FuzzReport(msgspec.Struct):
    """What hostile messages did.

    Attributes:
        messages: How many were sent.
        statuses: How many answers had each HTTP status.
        ticks_per_second: Of the area, while they were sent.
        grown_mb: By how much the process that grew most grew, in MB.
        takeovers: How often the active changed.
        ended: How many processes ended.
        errors: Lines of error in the logs of the processes.
    """

    messages: int = 0
    statuses: dict[int, int] = {}
    ticks_per_second: float = 0.0
    grown_mb: float = 0.0
    takeovers: int = 0
    ended: int = 0
    errors: list[str] = []


class Fuzzer:
    """Clients that send hostile messages to the ports of one world until a number is reached."""

    def __init__(self, ports: dict[str, list[int]], messages: int, seed: int, report: FuzzReport) -> None:
        """`ports` are the port numbers of each kind: http, sockets (simulators' HTTP ports) and peer."""
        self._ports, self._messages, self._report = ports, messages, report
        self._random = random.Random(seed)

    async def run(self, until_message: int) -> None:
        """Sends messages until the report counts `until_message` of them."""
        workers = [self._http] * 6 + [self._sockets] * 3 + [self._peers] * 3

        async def work(send: object) -> None:
            while self._report.messages < until_message:
                with contextlib.suppress(OSError, TimeoutError, aiohttp.ClientError):
                    sent = await send()  # type: ignore[operator]
                    self._report.messages += sent

        await asyncio.gather(*(work(send) for send in workers))

    async def _http(self) -> int:
        """Sends a pipeline of requests that can be read, and one that cannot."""
        rng = self._random
        reader, writer = await asyncio.open_connection("127.0.0.1", rng.choice(self._ports["http"]))
        try:
            writer.write(b"".join(http_request(rng) for _ in range(_PIPELINED)) + malformed_request(rng))
            answer, statuses = bytearray(), list[int]()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ANSWER_SECONDS):
                    while len(statuses) < _PIPELINED and (data := await reader.read(65_536)):
                        answer += data
                        statuses = [int(status) for status in _STATUS.findall(answer)]
            for status in statuses:
                self._report.statuses[status] = self._report.statuses.get(status, 0) + 1
            return len(statuses) + 1
        finally:
            writer.close()

    async def _sockets(self) -> int:
        """Opens a WebSocket and sends frames until the server closes it."""
        rng, sent = self._random, 0
        path = rng.choice(("session", "observe", "watch"))
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            url = f"http://127.0.0.1:{rng.choice(self._ports['sockets'])}/v1/{path}"
            async with client.ws_connect(url, max_msg_size=0) as socket:
                for _ in range(rng.randrange(1, 60)):
                    if rng.random() < 0.7:
                        await socket.send_str(hostile_text(rng).decode(errors="replace"))
                    else:
                        await socket.send_bytes(rng.randbytes(rng.randrange(200)))
                    sent += 1
                    if socket.closed:
                        break
        return sent

    async def _peers(self) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._random.choice(self._ports["peer"]))
        try:
            writer.write(peer_bytes(self._random))
            writer.write_eof()
            async with asyncio.timeout(_ANSWER_SECONDS):
                while await reader.read(4096):
                    pass
        finally:
            writer.close()
        return 1


def ports_of(world: RunningWorld) -> dict[str, list[int]]:
    """Returns the port numbers of a world, by kind."""
    status = world.status()
    area = status.areas[0]
    replicas = [*area.replicas, *status.spares]
    urls = [process.url for process in (*replicas, area.witness)]
    peers = [found[1] for found in map(_PEER.search, _command_lines(world)) if found]
    simulators = [int(replica.url.rpartition(":")[2]) for replica in replicas]
    return {
        "http": [int(world.port), *(int(url.rpartition(":")[2]) for url in urls)],
        "sockets": simulators,
        "peer": [int(port) for port in peers],
    }


_PEER = re.compile(r"--peer\0[^\0]*:(\d+)\0")


def _command_lines(world: RunningWorld) -> list[str]:
    return [Path(f"/proc/{pid}/cmdline").read_text() for pid in sorted(world.pids())]


def _memory_mb(pids: set[int]) -> dict[int, float]:
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            found[pid] = int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1000
    return found


def fuzz(world: RunningWorld, messages: int, seed: int) -> FuzzReport:
    """Sends hostile messages to a redundant world; returns what they did."""
    report = FuzzReport()
    before, pids = world.wait_until_redundant().areas[0], world.pids()
    fuzzer = Fuzzer(ports_of(world), messages, seed, report)
    began = time.monotonic()
    asyncio.run(fuzzer.run(round(_SETTLED_SHARE * messages)))
    settled = _memory_mb(pids)
    asyncio.run(fuzzer.run(messages))
    seconds = time.monotonic() - began
    grown = _memory_mb(pids)
    after = world.wait_until_redundant().areas[0]
    report.ended = len(pids - grown.keys())
    report.grown_mb = max(grown[pid] - settled[pid] for pid in grown)
    report.takeovers = max(r.term for r in after.replicas) - max(r.term for r in before.replicas)
    ticks = max(r.tick for r in after.replicas) - max(r.tick for r in before.replicas)
    report.ticks_per_second = ticks / seconds
    logs = [
        line for file in sorted(world.data.glob("*/log*")) for line in file.read_text(errors="replace").splitlines()
    ]
    report.errors = [line for line in logs if "level='error'" in line or "Traceback" in line]
    return report


@click.command()
@click.option("--messages", default=500_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(messages: int, seed: int) -> None:
    """Starts a world, sends hostile messages to all of its ports, and prints what they did."""
    with tempfile.TemporaryDirectory(prefix="pairsim-fuzz-") as folder:
        world = RunningWorld(Path(folder))
        world.start("--spares", "1")
        try:
            world.wait_for("the world is ready.*")
            report = fuzz(world, messages, seed)
        finally:
            world.close()
    click.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
    sys.exit(1 if report.statuses.get(500) or report.ended or report.errors else 0)


if __name__ == "__main__":
    main()
