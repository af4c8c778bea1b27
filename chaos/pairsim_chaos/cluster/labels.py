"""Which pods are labelled active, from a list and from watches that go on where the last one ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from pairsim.model.labels import APP_NAME, NAME_LABEL
from pairsim_chaos.cluster.objects import Metadata, PodObject, pod
from pairsim_controller.kube.api.connection import Connection, ExpiredError
from pairsim_controller.kube.api.port import ApiError

PODS = {"labelSelector": f"{NAME_LABEL}={APP_NAME}"}
Seen = Callable[[str, frozenset[str]], None]
"""Told of an area and of all its pods that are labelled active."""

_AGAIN = 0.25
_WATCH = 55
_GRACE = 10.0
"""Seconds that a watch may outlast what was asked for, before it is ended from this side."""


class Labels:
    """Of all pods; sans-I/O."""

    def __init__(self, seen: Seen) -> None:
        """Tells `seen` of the areas whose labels may have changed."""
        self._seen = seen
        self._known: dict[str, tuple[str, bool]] = {}

    def listed(self, pods: Iterable[PodObject]) -> None:
        """All of them at one moment; told of only when all are known, since a half of them was never there alone."""
        before = self._areas()
        self._known = {each.metadata.name: placed for each in pods if (placed := _placed(each)) is not None}
        self._tell(before | self._areas())

    def changed(self, kind: str, body: PodObject) -> None:
        """One event of a watch."""
        name = body.metadata.name
        before, now = self._known.pop(name, None), None if kind == "DELETED" else _placed(body)
        if now is not None:
            self._known[name] = now
        self._tell({each[0] for each in (before, now) if each is not None})

    def _areas(self) -> set[str]:
        return {area for area, _ in self._known.values()}

    def _tell(self, areas: set[str]) -> None:
        for area in sorted(areas - {""}):
            self._seen(area, frozenset(name for name, placed in self._known.items() if placed == (area, True)))


async def follow(connection: Connection, namespace: str, seen: Seen) -> None:
    """Tells of every change until it is cancelled.

    Watches end, and connections break. The next watch begins at the version that was seen last, so that two labels that
    were there between them for a blink are told of all the same; only if the API server has forgotten it (410), all
    pods are listed again.
    """
    labels, path, version = Labels(seen), f"/api/v1/namespaces/{namespace}/pods", ""
    while True:
        try:
            if not version:
                listed = msgspec.convert(await connection.request("GET", path, query=PODS), _List)
                labels.listed(listed.items)
                version = listed.metadata.resource_version
            query = {**PODS, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(_WATCH)}
            async for line in connection.lines(path, {**query, "resourceVersion": version}, seconds=_WATCH + _GRACE):
                if line.strip():
                    version = _heard(labels, line)
        except (ExpiredError, msgspec.MsgspecError):
            version = ""
        except ApiError:
            pass  # from where it was
        await asyncio.sleep(_AGAIN)


class _List(msgspec.Struct, frozen=True):
    metadata: Metadata
    items: list[PodObject] = []


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


def _heard(labels: Labels, line: bytes) -> str:
    """One line of a watch; the version to go on from.

    Raises:
        ExpiredError: All has to be listed again.
    """
    event = msgspec.json.decode(line, type=_Event)
    if event.type == "ERROR":
        raise ExpiredError(bytes(event.object).decode(errors="replace"))
    body = msgspec.json.decode(event.object, type=PodObject)
    if event.type != "BOOKMARK":
        labels.changed(event.type, body)
    return body.metadata.resource_version


def _placed(body: PodObject) -> tuple[str, bool] | None:
    """The area of a pod, and whether it is labelled active; None for others."""
    found = pod(body)
    return None if found is None else (found.area, found.role == "active")
