"""A watch on pods and areas without a gap: only a watch that misses no event can prove that a state never existed."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import msgspec

from pairsim.model.labels import AREA_LABEL, ROLE_LABEL
from pairsim_controller.kube.api.connection import ApiBusyError, Connection
from pairsim_controller.kube.api.objects import AreaObject, Object
from pairsim_controller.kube.api.port import AREAS, PODS, ApiError, Resource
from pairsim_controller.kube.api.writes import path_of
from tests.cluster.native.sandbox import ClusterError
from tests.cluster.world import NAMESPACE, Roles

GOODBYE_SECONDS = 0.25
"""A TLS connection closes some turns of the event loop after the request to close it."""

_LONG = 3600.0


class _Event(msgspec.Struct):
    type: str
    body: msgspec.Raw = msgspec.field(name="object")


class _Version(msgspec.Struct, rename="camel"):
    resource_version: str


class _Bookmark(msgspec.Struct):
    metadata: _Version


class Watching:
    """Follows from a thread of its own, from when nothing was there yet until it is closed."""

    def __init__(self, kubeconfig: Path) -> None:
        self.pods: dict[str, Object] = {}
        self.areas: dict[str, AreaObject] = {}
        self.roles = Roles()
        self._kubeconfig = kubeconfig
        self._broken = ""
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()), daemon=True)

    def start(self) -> None:
        """Follows from now on; there is no pod and no area."""
        self._thread.start()

    def close(self) -> None:
        """Follows no more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
        self._loop.close()

    def check(self) -> None:
        """Raises ClusterError if two were active of one area at a moment, or if there was a gap."""
        if self._broken:
            raise ClusterError(f"there was a gap in what was seen: {self._broken}")
        if self.roles.doubled:
            raise ClusterError(self.roles.doubled[0])

    async def _run(self) -> None:
        connection = await Connection.open(self._kubeconfig)
        following = [asyncio.create_task(self._follow(connection, resource)) for resource in (PODS, AREAS)]
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({*following, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*following, stop):
            task.cancel()
        await asyncio.gather(*following, stop, return_exceptions=True)
        await connection.close()
        await asyncio.sleep(GOODBYE_SECONDS)

    async def _follow(self, connection: Connection, resource: Resource) -> None:
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": f"{_LONG:.0f}"}
        try:
            while True:
                try:
                    async for line in connection.lines(path_of(resource, NAMESPACE), query, seconds=_LONG):
                        # A watch that goes on from the last version that was seen leaves nothing out.
                        query["resourceVersion"] = self._take(resource, msgspec.json.decode(line, type=_Event))
                except ApiBusyError:  # a kind that is new is not served at once
                    await asyncio.sleep(0.1)
        except (ApiError, msgspec.MsgspecError) as error:
            self._broken = str(error)

    def _take(self, resource: Resource, event: _Event) -> str:
        """Its version."""
        if event.type == "ERROR":
            raise ApiError(f"watch of {resource.plural}: {bytes(event.body).decode()}")
        if event.type == "BOOKMARK":
            return msgspec.json.decode(event.body, type=_Bookmark).metadata.resource_version
        if resource == AREAS:
            area = msgspec.json.decode(event.body, type=AreaObject)
            self.areas[area.metadata.name] = area
            return area.metadata.resource_version
        pod = msgspec.json.decode(event.body, type=Object)
        before = self.pods.get(pod.metadata.name)
        self.pods[pod.metadata.name] = pod
        if before is None or _said(before) != _said(pod) or event.type == "DELETED":
            head = {"name": pod.metadata.name, "labels": pod.metadata.labels}
            self.roles.saw(time.time(), event.type, {"metadata": head})
        return pod.metadata.resource_version


def _said(pod: Object) -> tuple[str, str]:
    return label(pod, AREA_LABEL), label(pod, ROLE_LABEL)


def label(found: Object, key: str) -> str:
    """A label's value, or ""."""
    return found.metadata.labels.get(key, "")
