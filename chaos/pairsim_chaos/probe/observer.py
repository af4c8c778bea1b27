"""Observes one process through its API, without the client's corrections.

The Python client presents an unbroken sequence of ticks however the replicas fail. The probe has to know which frames
the replicas actually sent, so it reads raw frames.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import aiohttp
import msgspec

from pairsim.client import ClientError, ProcessClient
from pairsim.model.geometry import Box
from pairsim.protocol.bounds import box_query
from pairsim.protocol.frames import MAX_FRAME, Frame
from pairsim_chaos.probe.area_evidence import AreaEvidence

_RETRY_SECONDS = 0.1
_CONNECT_SECONDS = 1.0
_FRAME_TIMEOUT_SECONDS = 5.0
_DIGEST_POLL_SECONDS = 1.0
_MAX_DIGESTS = 200
EvidenceLookup = Callable[[str], AreaEvidence | None]
"""Returns the evidence of an area; None for an area that the probe does not observe."""


class ProcessObserver:
    """Observes one simulator process: its statuses, its frames and its digests."""

    def __init__(self, url: str, evidence_of: EvidenceLookup) -> None:
        """Creates an observer without a connection."""
        self._url, self._evidence_of = url, evidence_of
        self._area = ""
        self._replica = ""
        self._newest_digest = 0

    async def run(self) -> None:
        """Observes the process until cancelled; reconnects to a process that cannot be reached."""
        await asyncio.gather(self._watch_status(), self._watch_frames(), self._poll_digests())

    async def _watch_status(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with ProcessClient(self._url, deadline=_CONNECT_SECONDS) as client:
                with contextlib.suppress(ClientError):
                    async for status in client.watch():
                        if status.area != self._area:
                            self._newest_digest = 0
                        self._area, self._replica = status.area, status.replica
                        evidence = self._evidence_of(status.area)
                        if evidence is not None:
                            evidence.on_status(status, loop.time())
            await asyncio.sleep(_RETRY_SECONDS)

    async def _watch_frames(self) -> None:
        while True:
            evidence = self._evidence_of(self._area)
            if evidence is not None:
                with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError):
                    await self._observe(evidence, self._area)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _observe(self, evidence: AreaEvidence, area: str) -> None:
        before = (0, 0)
        timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            async with asyncio.timeout(_CONNECT_SECONDS):
                socket = await http.ws_connect(
                    f"{self._url}/v1/observe", params=_corner_query(evidence.bounds), max_msg_size=MAX_FRAME
                )
            async with socket:
                while self._area == area:
                    message = await socket.receive(_FRAME_TIMEOUT_SECONDS)
                    if message.type is not aiohttp.WSMsgType.BINARY:
                        return
                    frame = msgspec.msgpack.decode(message.data, type=Frame)
                    before = evidence.ticks.on_frame(self._replica, before, frame.term, frame.tick)

    async def _poll_digests(self) -> None:
        while True:
            await asyncio.sleep(_DIGEST_POLL_SECONDS)
            evidence = self._evidence_of(self._area)
            if evidence is None:
                continue
            async with ProcessClient(self._url, area=self._area, deadline=_CONNECT_SECONDS) as client:
                with contextlib.suppress(ClientError):
                    tick = (await client.status()).tick
                    digests = await client.digests(max(self._newest_digest + 1, tick - _MAX_DIGESTS, 0), tick)
                    evidence.digests.on_digests(self._replica, digests)
                    self._newest_digest = max(self._newest_digest, *digests) if digests else self._newest_digest


def _corner_query(bounds: Box) -> dict[str, str]:
    """Returns the query of a tiny box with hardly any entity in it, because only the ticks of frames matter."""
    return box_query(bounds.min, [low + (high - low) * 1e-6 for low, high in zip(bounds.min, bounds.max, strict=True)])
