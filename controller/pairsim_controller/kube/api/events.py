"""Events about areas, for `kubectl describe` and `kubectl get events`: written in the background, never waited for.

What repeats within a few minutes is one event with a count (a series), so that a world in trouble does not drown the
API server; what cannot be written in time is dropped and counted, for the same is in the log.
"""

from __future__ import annotations

import asyncio
import hashlib
import time

import structlog

from pairsim.model.labels import API_GROUP, FIELD_MANAGER
from pairsim_controller.kube.api.connection import ConflictError, Connection
from pairsim_controller.kube.api.objects import stamp
from pairsim_controller.kube.api.port import ApiError, Body

log = structlog.get_logger()

MAX_WAITING = 1_000
SERIES_SECONDS = 300.0
_SERIES_PAUSE = 5.0
"""An event that repeats is written again at most so often."""

_SECONDS = 5.0
_MAX_NOTE = 1_000

Key = tuple[str, str, str, str]


class _Series:
    def __init__(self, name: str, began: float) -> None:
        self.name, self.began, self.count, self.last, self.written = name, began, 0, began, 0.0


class Events:
    """See the module."""

    def __init__(self, connection: Connection, namespace: str, identity: str) -> None:
        """Writes as `identity`."""
        self._connection, self._identity = connection, identity
        self._path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
        self._waiting: asyncio.Queue[tuple[Key, Body, str, str, bool]] = asyncio.Queue(MAX_WAITING)
        self._series: dict[Key, _Series] = {}
        self.dropped = 0

    def tell(self, about: Body, reason: str, note: str, *, warning: bool) -> None:
        """See `Api`."""
        key = str(about.get("uid")), str(about.get("name")), reason, note
        try:
            self._waiting.put_nowait((key, about, reason, note, warning))
        except asyncio.QueueFull:
            self.dropped += 1
            log.warning("an event is dropped: too many wait", about=about.get("name"), reason=reason, note=note)

    async def run(self) -> None:
        """Writes; ends by cancellation."""
        while True:
            key, about, reason, note, warning = await self._waiting.get()
            try:
                await self._write(key, about, reason, note, warning=warning)
            except ApiError as error:
                self.dropped += 1
                self._series.pop(key, None)
                log.warning("an event is dropped", about=about.get("name"), told=reason, reason=str(error))

    async def _write(self, key: Key, about: Body, reason: str, note: str, *, warning: bool) -> None:
        now, wall = time.monotonic(), time.time()
        self._series = {k: s for k, s in self._series.items() if now - s.last < SERIES_SECONDS}
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(_name(about, key, wall), now)
            series.written = now
            await self._create(series.name, about, reason, note, wall, warning=warning)
            return
        series.count, series.last = series.count + 1, now
        if now - series.written < _SERIES_PAUSE:
            return
        series.written = now
        body: Body = {"series": {"count": series.count + 1, "lastObservedTime": _micro(wall)}}
        await self._connection.request(
            "PATCH", f"{self._path}/{series.name}", body=body, content="application/merge-patch+json", seconds=_SECONDS
        )

    async def _create(self, name: str, about: Body, reason: str, note: str, wall: float, *, warning: bool) -> None:
        body: Body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name},
            "eventTime": _micro(wall),
            "reportingController": f"{API_GROUP}/{FIELD_MANAGER}",
            "reportingInstance": self._identity[:128],
            "action": reason,
            "reason": reason,
            "note": note[:_MAX_NOTE],
            "regarding": about,
            "type": "Warning" if warning else "Normal",
        }
        try:
            await self._connection.request("POST", self._path, body=body, seconds=_SECONDS)
        except ConflictError:
            log.info("the event is there already", name=name)


def _name(about: Body, key: Key, wall: float) -> str:
    digest = hashlib.sha256(repr((key, wall)).encode()).hexdigest()[:16]
    return f"{str(about.get('name'))[:200]}.{digest}"


def _micro(wall: float) -> str:
    """MicroTime has six digits."""
    return stamp(wall).removesuffix("Z") + "000Z"
