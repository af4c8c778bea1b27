"""All objects of one kind, as they are: a list, then a watch, for ever.

The API server may end a watch at any time, forget the version that it began with (410), or be away: then everything is
listed again, and what is missing from the list was deleted meanwhile. An object may be told again; none is missed.
See "Efficient detection of changes" in Kubernetes' API concepts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import msgspec
import structlog

from pairsim_controller.kube.api.connection import BusyError, Connection, ExpiredError
from pairsim_controller.kube.api.port import ApiError, Body, Resource
from pairsim_controller.kube.api.writes import path_of

log = structlog.get_logger()

PAGE = 500
WATCH_SECONDS = 55
_GRACE = 10.0
"""Seconds that a watch may outlast what was asked for, before the controller ends it from its side."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_TOO_SHORT = 1.0
"""Seconds; the API server ends a watch after a minute."""

S = TypeVar("S", bound=msgspec.Struct)

Saw = Callable[[Resource, str, Body | None], None]


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct):
    metadata: _Meta
    items: list[dict[str, object]] = []


class _Event(msgspec.Struct):
    type: str
    body: dict[str, object] = msgspec.field(name="object")


class _Failure(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Object(msgspec.Struct):
    metadata: _Meta


class Watching:
    """One kind of object in one namespace."""

    def __init__(
        self, connection: Connection, namespace: str, resource: Resource, saw: Saw, *, selector: str = ""
    ) -> None:
        """Tells `saw` of every object that is new or changed, and of those that are gone (None)."""
        self.listed = asyncio.Event()
        self._connection, self._resource, self._saw = connection, resource, saw
        self._path, self._selector = path_of(resource, namespace), selector
        self._known: set[str] = set()

    async def run(self) -> None:
        """For ever; ends by cancellation."""
        pause, version = _FIRST_PAUSE, ""
        while True:
            try:
                if not version:
                    version = await self._list()
                    self.listed.set()
                began = time.monotonic()
                async for seen in self._watch(version):
                    version, pause = seen, _FIRST_PAUSE
                if time.monotonic() - began > _TOO_SHORT:
                    continue
                # Something between here and the API server ends every watch at once: it must not be asked in a loop.
                wait, pause = pause, min(2 * pause, _LONGEST_PAUSE)
            except ExpiredError:
                version = ""
                wait = _FIRST_PAUSE
            except BusyError as error:
                wait = error.retry_after
            except ApiError as error:
                log.warning("cannot see", resource=self._resource.plural, reason=str(error))
                wait, pause = pause, min(2 * pause, _LONGEST_PAUSE)
                version = ""  # a list says what a broken watch may not have
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads controllers

    async def _list(self) -> str:
        """Lists everything, page by page; returns the version to watch from."""
        seen: set[str] = set()
        query = {"limit": str(PAGE)} | ({"labelSelector": self._selector} if self._selector else {})
        token = version = ""
        while True:
            answer = await self._connection.request(
                "GET", self._path, query=query | ({"continue": token} if token else {})
            )
            page = _read(answer, _Page)
            for item in page.items:
                seen.add(self._tell(item))
            # The first page's: what changes while later pages are read is told once more by the watch, and not missed.
            version = version or page.metadata.resource_version
            token = page.metadata.continue_
            if not token:
                break
        for name in sorted(self._known - seen):
            self._saw(self._resource, name, None)
        self._known = seen
        return version

    async def _watch(self, version: str) -> AsyncIterator[str]:
        """Follows changes; yields the version to go on from after each."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        } | ({"labelSelector": self._selector} if self._selector else {})
        async for line in self._connection.lines(self._path, query, seconds=WATCH_SECONDS + _GRACE):
            if not line.strip():
                continue
            try:
                event = msgspec.json.decode(line, type=_Event)
            except msgspec.MsgspecError as error:
                raise ApiError(f"a watch of {self._resource.plural} says what is no event: {error}") from error
            if event.type == "ERROR":
                failure = _read(event.body, _Failure)
                kind = ExpiredError if failure.code == 410 else ApiError
                raise kind(f"watch of {self._resource.plural}: {failure.message}")
            metadata = _read(event.body, _Object).metadata
            if event.type == "DELETED":
                self._known.discard(metadata.name)
                self._saw(self._resource, metadata.name, None)
            elif event.type != "BOOKMARK":
                self._known.add(self._tell(event.body))
            yield metadata.resource_version

    def _tell(self, body: Body) -> str:
        name = _read(body, _Object).metadata.name
        # Items of a list lack what the list says once.
        self._saw(self._resource, name, {"apiVersion": self._resource.api_version, "kind": self._resource.kind, **body})
        return name


def _read(body: Body, kind: type[S]) -> S:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise ApiError(f"the API server sends what cannot be read: {error}") from error
