"""The pods that are labelled active, from a list of pods and from watches that continue where the last one ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from pairsim.model.labels import APP_NAME, NAME_LABEL
from pairsim.model.status import Role
from pairsim_chaos.cluster.objects import pod_of
from pairsim_controller.kube.api.connection import Connection, ExpiredError
from pairsim_controller.kube.api.objects import Pod
from pairsim_controller.kube.api.port import ApiError
from pairsim_controller.kube.api.reflector import ListedItem, ListPage, WatchEvent

PODS = {"labelSelector": f"{NAME_LABEL}={APP_NAME}"}
OnLabels = Callable[[str, frozenset[str]], None]
"""Receives an area and the names of all its pods that are labelled active."""

_RETRY_SECONDS = 0.25
_WATCH_SECONDS = 55
_WATCH_GRACE_SECONDS = 10.0
"""How much longer than requested a watch may last before the client ends it."""


class PodLabels:
    """The labels of all pods of a world; sans-I/O."""

    def __init__(self, on_labels: OnLabels) -> None:
        """Creates an empty set of pods; `on_labels` is called for every area whose labels may have changed."""
        self._on_labels = on_labels
        self._known: dict[str, tuple[str, bool]] = {}

    def on_list(self, pods: Iterable[Pod]) -> None:
        """Takes all pods of one moment; areas are reported only after all pods are known."""
        before = self._areas()
        self._known = {each.metadata.name: label for each in pods if (label := _label(each)) is not None}
        self._report(before | self._areas())

    def on_event(self, kind: str, pod: Pod) -> None:
        """Takes an event of a watch."""
        name = pod.metadata.name
        before, now = self._known.pop(name, None), None if kind == "DELETED" else _label(pod)
        if now is not None:
            self._known[name] = now
        self._report({each[0] for each in (before, now) if each is not None})

    def _areas(self) -> set[str]:
        return {area for area, _ in self._known.values()}

    def _report(self, areas: set[str]) -> None:
        for area in sorted(areas - {""}):
            self._on_labels(area, frozenset(name for name, label in self._known.items() if label == (area, True)))


async def watch_pod_labels(connection: Connection, namespace: str, on_labels: OnLabels) -> None:
    """Reports every change of labels until cancelled.

    Watches end, and connections break. The next watch starts at the newest version that was seen, so that even labels
    that existed only for a moment between two watches are reported. If the API server has forgotten the version (410),
    all pods are listed again.
    """
    labels, path, version = PodLabels(on_labels), f"/api/v1/namespaces/{namespace}/pods", ""
    while True:
        try:
            if not version:
                listed = msgspec.convert(await connection.request("GET", path, query=PODS), ListPage)
                labels.on_list(msgspec.convert(listed.items, list[Pod]))
                version = listed.metadata.resource_version
            query = {**PODS, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(_WATCH_SECONDS)}
            seconds = _WATCH_SECONDS + _WATCH_GRACE_SECONDS
            async for line in connection.lines(path, {**query, "resourceVersion": version}, seconds=seconds):
                if line.strip():
                    version = _on_line(labels, line)
        except (ExpiredError, msgspec.MsgspecError):
            version = ""
        except ApiError:
            pass  # the next watch starts at the same version
        await asyncio.sleep(_RETRY_SECONDS)


def _on_line(labels: PodLabels, line: bytes) -> str:
    """Takes a line of a watch, and returns the version at which the next watch starts.

    Raises:
        ExpiredError: All pods have to be listed again.
    """
    event = msgspec.json.decode(line, type=WatchEvent)
    if event.type == "ERROR":
        raise ExpiredError(str(event.body))
    if event.type != "BOOKMARK":
        labels.on_event(event.type, msgspec.convert(event.body, Pod))
    return msgspec.convert(event.body, ListedItem).metadata.resource_version


def _label(pod: Pod) -> tuple[str, bool] | None:
    """Returns the area of a pod, and whether the pod is labelled active; None for pods of other applications."""
    found = pod_of(pod)
    return None if found is None else (found.area, found.role == Role.ACTIVE)
