"""Kubernetes Events about areas, for `kubectl describe` and `kubectl get events`.

Events are written in the background; callers never wait. Repetitions within `SERIES_SECONDS` become one Event with a
count (a series), so a world in trouble does not flood the API server. An event that cannot be written in time is
dropped and counted; the controller's log has the same facts.
"""

from __future__ import annotations

import asyncio
import hashlib
import time

import structlog

from pairsim.model.labels import API_GROUP, FIELD_MANAGER
from pairsim.wording import without_amounts
from pairsim_controller.kube.api.connection import ConflictError, Connection
from pairsim_controller.kube.api.port import ApiError, Body
from pairsim_controller.timestamps import micro_time

log = structlog.get_logger()

MAX_WAITING = 1_000
SERIES_SECONDS = 300.0
_SERIES_UPDATE_SECONDS = 5.0
"""Shortest time between two writes of the same series."""

_REQUEST_SECONDS = 5.0
_MAX_NOTE_CHARACTERS = 1_000

SeriesKey = tuple[str, str, str, str]
"""Uid and name of the object, reason, and note without its amounts: events with equal keys belong to one series.

An area that loses and regains a member again and again gets one event with a count."""


class _EventSeries:
    """A written event and its repetitions; times are monotonic."""

    def __init__(self, name: str, began: float) -> None:
        self.name, self.count, self.last, self.written = name, 0, began, began


class EventRecorder:
    """A bounded queue of events, and the task that writes them.

    Attributes:
        dropped: Number of events that were not written.
    """

    def __init__(self, connection: Connection, namespace: str, identity: str) -> None:
        """Writes to `namespace`; `identity` becomes the reporting instance."""
        self._connection, self._identity = connection, identity
        self._path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
        self._waiting: asyncio.Queue[tuple[SeriesKey, Body, str, str, bool, float]] = asyncio.Queue(MAX_WAITING)
        self._series: dict[SeriesKey, _EventSeries] = {}
        self.dropped = 0

    def emit(self, about: Body, reason: str, note: str, *, warning: bool, at: float | None = None) -> None:
        """Queues an event; drops it when `MAX_WAITING` events wait.

        Args:
            about: The reference to the object.
            reason: The reason in one word.
            note: A sentence.
            warning: Whether the event has type `Warning` instead of `Normal`.
            at: When it happened, Unix time in seconds; None for now.
        """
        at = at if at is not None else time.time()
        key = str(about.get("uid")), str(about.get("name")), reason, without_amounts(note)
        try:
            self._waiting.put_nowait((key, about, reason, note, warning, at))
        except asyncio.QueueFull:
            self.dropped += 1
            log.warning("event dropped: queue full", about=about.get("name"), dropped=reason, note=note)

    async def run(self) -> None:
        """Writes events until it is cancelled."""
        while True:
            key, about, reason, note, warning, at = await self._waiting.get()
            try:
                await self._write(key, about, reason, note, at, warning=warning)
            except ApiError as error:
                self.dropped += 1
                self._series.pop(key, None)
                log.warning("event dropped", about=about.get("name"), dropped=reason, reason=str(error))

    async def _write(self, key: SeriesKey, about: Body, reason: str, note: str, wall: float, *, warning: bool) -> None:
        now = time.monotonic()
        self._series = {k: s for k, s in self._series.items() if now - s.last < SERIES_SECONDS}
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _EventSeries(_name(about, key, wall), now)
            await self._create(series.name, about, reason, note, wall, warning=warning)
            return
        series.count, series.last = series.count + 1, now
        if now - series.written < _SERIES_UPDATE_SECONDS:
            return
        series.written = now
        body: Body = {"series": {"count": series.count + 1, "lastObservedTime": micro_time(wall)}}
        await self._connection.request(
            "PATCH",
            f"{self._path}/{series.name}",
            body=body,
            content="application/merge-patch+json",
            seconds=_REQUEST_SECONDS,
        )

    async def _create(self, name: str, about: Body, reason: str, note: str, wall: float, *, warning: bool) -> None:
        body: Body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name},
            "eventTime": micro_time(wall),
            "reportingController": f"{API_GROUP}/{FIELD_MANAGER}",
            "reportingInstance": self._identity[:128],
            "action": reason,
            "reason": reason,
            "note": note[:_MAX_NOTE_CHARACTERS],
            "regarding": about,
            "type": "Warning" if warning else "Normal",
        }
        try:
            await self._connection.request("POST", self._path, body=body, seconds=_REQUEST_SECONDS)
        except ConflictError:
            log.info("event exists already", name=name)


def _name(about: Body, key: SeriesKey, wall: float) -> str:
    digest = hashlib.sha256(repr((key, wall)).encode()).hexdigest()[:16]
    return f"{str(about.get('name'))[:200]}.{digest}"
