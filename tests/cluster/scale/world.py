"""A world of fake pods on a real API server, watched by the real controller and by the trial."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import math
import os
import secrets
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import yaml

from pairsim_controller.kube.api.connection import Connection
from pairsim_controller.kube.api.port import AREAS, PLANES, PODS
from pairsim_controller.kube.api.writes import path_of
from tests.cluster.native.images import ROOT
from tests.cluster.scale.apiserver import Control
from tests.cluster.scale.names import Place, places
from tests.cluster.scale.processes import Processes
from tests.cluster.scale.watching import GOODBYE_SECONDS, Watching
from tests.cluster.watcher import Object
from tests.cluster.world import NAMESPACE

_KINDS = {"Namespace", "CustomResourceDefinition", "ServiceAccount", "Role", "RoleBinding", "PriorityClass"}
_AT_ONCE = 24
_SIDE, _PLANE = 100, "field"
_APPLY = "application/apply-patch+yaml"


class World:
    """The world of the trial."""

    def __init__(self, folder: Path, processes: Processes, control: Control, port: int) -> None:
        self._folder, self._processes, self._control, self._port = folder, processes, control, port
        self.token = secrets.token_hex(16)
        self._templates: dict[str, Object] = {}
        self._made: set[str] = set()
        self.seen = Watching(control.admin)

    def install(self) -> None:
        """Applies the manifests except for workloads."""
        overlay = ROOT / "manifests" / "overlays" / "default"
        documents = list(yaml.safe_load_all(self._control.kubectl("kustomize", str(overlay))))
        wanted = [found for found in documents if found["kind"] in _KINDS]
        self._control.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(wanted))
        self._control.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        for found in documents:
            if found["kind"] == "Deployment":
                self._templates[found["metadata"]["name"].removeprefix("pairsim-")] = found["spec"]["template"]
        self._control.kubectl("apply", "-f", "-", stdin=json.dumps(self._secret()))
        self.seen.start()

    def close(self) -> None:
        """Ends the watches."""
        self.seen.close()

    def start_controller(self, http: int) -> int:
        """Starts the real controller with the rights that it has in a cluster; returns its process id."""
        command = (sys.executable, "-m", "pairsim_controller.cli.main", f"--kubeconfig={self._control.account}")
        words = (f"--namespace={NAMESPACE}", f"--http=127.0.0.1:{http}", "--identity=controller")
        return self._processes.start("controller", *command, *words, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def start_replicas(self, simulators: int, witnesses: int) -> int:
        """Starts the process that answers in place of pods; returns its process id."""
        counts = (f"--simulators={simulators}", f"--witnesses={witnesses}", f"--port={self._port}")
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TOKEN": self.token}
        return self._processes.start("replicas", sys.executable, "-m", "tests.cluster.scale.serving", *counts, env=env)

    def make_pods(self, simulators: int, witnesses: int) -> None:
        """Creates missing pods with the status that a kubelet would report for running ones."""
        wanted = [place for place in places(simulators, witnesses) if place.name not in self._made]
        self._made |= {place.name for place in wanted}
        asyncio.run(self._all([lambda api, place=place: self._make(api, place) for place in wanted]))

    def apply_areas(self, names: Sequence[str], of: int) -> None:
        """Applies areas of a plane that has room for the given number."""
        width = _SIDE * math.ceil(math.sqrt(of))
        bounds = {"min": [0, 0, 0], "max": [width, width, 50]}
        spec = {"simulator": "physics", "bounds": bounds, "tickRate": 20, "seed": 1}
        plane = {"metadata": {"name": _PLANE}, "spec": spec}

        async def apply() -> None:
            await self._all([lambda api: _apply(api, PLANES, plane)])
            await self._all([lambda api, name=name: _apply(api, AREAS, area_of(name, width)) for name in names])

        asyncio.run(apply())

    def _secret(self) -> Object:
        data = {"token": base64.b64encode(self.token.encode()).decode(), "secret": ""}
        metadata = {"name": "pairsim", "namespace": NAMESPACE}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}

    async def _all(self, work: Sequence[Any]) -> None:
        """Calls all functions with a connection, many at once."""
        connection = await Connection.open(self._control.admin)
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(call: Any) -> None:
            async with room:
                done: Coroutine[Any, Any, None] = call(connection)
                await done

        try:
            async with asyncio.TaskGroup() as group:
                for call in work:
                    group.create_task(one(call))
        finally:
            await connection.close()
            await asyncio.sleep(GOODBYE_SECONDS)

    async def _make(self, api: Connection, place: Place) -> None:
        kind, path = str(place.kind), path_of(PODS, NAMESPACE, place.name, "status")
        template = copy.deepcopy(self._templates[kind])
        template["metadata"] |= {"name": place.name, "namespace": NAMESPACE}
        template["metadata"]["labels"]["pod-template-hash"] = "6d5f8c7b9"
        template["spec"]["nodeName"] = place.node
        for port in template["spec"]["containers"][0]["ports"]:
            if port["name"] == "http":
                port["containerPort"] = self._port
        await api.request("POST", path_of(PODS, NAMESPACE), body={"apiVersion": "v1", "kind": "Pod", **template})
        await api.request("PATCH", path, body={"status": _running(place)}, content="application/merge-patch+json")


async def _apply(api: Connection, resource: Any, body: Object) -> None:
    whole = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
    path = path_of(resource, NAMESPACE, body["metadata"]["name"])
    await api.request("PATCH", path, query={"fieldManager": "trial"}, body=whole, content=_APPLY)


def area_name(number: int) -> str:
    """Returns the number of an area, from 0."""
    return f"area-{number:04d}"


def area_of(name: str, width: int) -> Object:
    """Returns an area: a square of a plane of the given width."""
    number, row = int(name.removeprefix("area-")), width // _SIDE
    low = [number % row * _SIDE, number // row * _SIDE, 0]
    bounds = {"min": low, "max": [low[0] + _SIDE, low[1] + _SIDE, 50]}
    return {"metadata": {"name": name}, "spec": {"plane": _PLANE, "bounds": bounds, "entities": 500}}


def _running(place: Place) -> Object:
    since = "2026-01-01T00:00:00Z"
    kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    container = {
        "name": str(place.kind),
        "ready": True,
        "started": True,
        "restartCount": 0,
        "image": "pairsim",
        "imageID": "pairsim@sha256:0",
        "state": {"running": {"startedAt": since}},
    }
    return {
        "phase": "Running",
        "podIP": place.address,
        "podIPs": [{"ip": place.address}],
        "hostIP": "127.0.0.1",
        "startTime": since,
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": since} for kind in kinds],
        "containerStatuses": [container],
    }
