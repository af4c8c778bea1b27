"""List and watch: reports all objects of one kind and every change of them, forever.

The API server may end a watch at any time, forget the version that the watch began with (410), or be unreachable. Then
the reflector lists again; known objects that are missing from the list were deleted meanwhile. An object may be
reported twice, but no change is missed. See "Efficient detection of changes" in Kubernetes' API concepts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import msgspec
import structlog

from pairsim_controller.kube.api.connection import ApiBusyError, Connection, ExpiredError
from pairsim_controller.kube.api.port import ApiError, Body, Resource
from pairsim_controller.kube.api.writes import path_of

log = structlog.get_logger()

PAGE_OBJECTS = 100
"""Objects of one page of a list: a page of 500 pods takes 27 MB while it is read, a page of 100 takes 4 MB."""

WATCH_SECONDS = 55
_GRACE_SECONDS = 10.0
"""Time that a watch may exceed `WATCH_SECONDS` before the controller ends it from its side."""

_FIRST_DELAY_SECONDS, _MAX_DELAY_SECONDS = 0.1, 5.0
_MIN_WATCH_SECONDS = 1.0
"""A watch that ends earlier was cut by a middlebox: the API server ends it after a minute."""

S = TypeVar("S", bound=msgspec.Struct)

EventHandler = Callable[[Resource, str, Body | None], None]
"""Receives the kind, the name and the object; None if the object was deleted."""


class ItemMeta(msgspec.Struct, rename="camel"):
    """The metadata that the reflector needs of an object. A bookmark has a version and no name."""

    name: str = ""
    resource_version: str = ""


class ListMeta(msgspec.Struct, rename="camel"):
    """The metadata of a page of a list; `continue_` names the next page."""

    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class ListPage(msgspec.Struct):
    """A page of a list."""

    metadata: ListMeta
    items: list[dict[str, object]] = []


class WatchEvent(msgspec.Struct):
    """A line of a watch; `type` is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""

    type: str
    body: dict[str, object] = msgspec.field(name="object")


class WatchFailure(msgspec.Struct):
    """The `Status` object of an ERROR event."""

    code: int = 0
    message: str = ""


class ListedItem(msgspec.Struct):
    """The part that the reflector needs of any object."""

    metadata: ItemMeta


class Reflector:
    """Lists and watches one kind of object in one namespace.

    Attributes:
        listed: Set after the first complete list.
    """

    def __init__(
        self, connection: Connection, namespace: str, resource: Resource, on_event: EventHandler, *, selector: str = ""
    ) -> None:
        """Calls `on_event` for every object that is new, changed or deleted.

        Args:
            connection: The API server.
            namespace: The namespace.
            resource: The kind of object.
            on_event: The handler.
            selector: A label selector; empty for all objects.
        """
        self.listed = asyncio.Event()
        self._connection, self._resource, self._on_event = connection, resource, on_event
        self._path, self._selector = path_of(resource, namespace), selector
        self._known: set[str] = set()

    async def run(self) -> None:
        """Lists and watches until it is cancelled."""
        delay, version = _FIRST_DELAY_SECONDS, ""
        while True:
            try:
                if not version:
                    version = await self._list()
                    self.listed.set()
                began = time.monotonic()
                async for seen in self._watch(version):
                    version, delay = seen, _FIRST_DELAY_SECONDS
                if time.monotonic() - began > _MIN_WATCH_SECONDS:
                    continue
                # A proxy that ends every watch at once must not make this loop flood the API server.
                wait, delay = delay, min(2 * delay, _MAX_DELAY_SECONDS)
            except ExpiredError:
                version = ""
                wait = _FIRST_DELAY_SECONDS
            except ApiBusyError as error:
                wait = error.retry_after
            except ApiError as error:
                log.warning("watch failed", resource=self._resource.plural, reason=str(error))
                wait, delay = delay, min(2 * delay, _MAX_DELAY_SECONDS)
                version = ""  # a list has the changes that a broken watch may have lost
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads controllers

    async def _list(self) -> str:
        """Lists all objects page by page; returns the version to watch from."""
        seen: set[str] = set()
        query = {"limit": str(PAGE_OBJECTS)} | ({"labelSelector": self._selector} if self._selector else {})
        token = version = ""
        while True:
            answer = await self._connection.request(
                "GET", self._path, query=query | ({"continue": token} if token else {})
            )
            page = _read(answer, ListPage)
            for item in page.items:
                seen.add(self._report(item))
            # The first page's version: the watch then repeats changes that happened while later pages were read.
            version = version or page.metadata.resource_version
            token = page.metadata.continue_
            if not token:
                break
        for name in sorted(self._known - seen):
            self._on_event(self._resource, name, None)
        self._known = seen
        return version

    async def _watch(self, version: str) -> AsyncIterator[str]:
        """Follows changes; yields the version to continue from after each event."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        } | ({"labelSelector": self._selector} if self._selector else {})
        async for line in self._connection.lines(self._path, query, seconds=WATCH_SECONDS + _GRACE_SECONDS):
            if not line.strip():
                continue
            try:
                event = msgspec.json.decode(line, type=WatchEvent)
            except msgspec.MsgspecError as error:
                raise ApiError(f"watch of {self._resource.plural}: a line is not a watch event: {error}") from error
            if event.type == "ERROR":
                failure = _read(event.body, WatchFailure)
                kind = ExpiredError if failure.code == 410 else ApiError
                raise kind(f"watch of {self._resource.plural}: {failure.message}")
            metadata = _read(event.body, ListedItem).metadata
            if event.type == "DELETED":
                self._known.discard(metadata.name)
                self._on_event(self._resource, metadata.name, None)
            elif event.type != "BOOKMARK":
                self._known.add(self._report(event.body))
            yield metadata.resource_version

    def _report(self, body: Body) -> str:
        """Passes an object to the handler and returns its name."""
        name = _read(body, ListedItem).metadata.name
        # The items of a list lack the fields that the list has once.
        head: Body = {"apiVersion": self._resource.api_version, "kind": self._resource.kind}
        self._on_event(self._resource, name, {**head, **body})
        return name


def _read(body: Body, kind: type[S]) -> S:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise ApiError(f"the API server sent an unreadable object: {error}") from error
