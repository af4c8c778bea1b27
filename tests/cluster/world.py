"""A world on the cluster as its users see it: the documents that they apply, and the objects of the API server."""

from __future__ import annotations

import itertools
import json
import signal
import time
from dataclasses import dataclass, field
from typing import Any

import yaml

from pairsim.model.labels import (
    API_VERSION,
    APP_NAME,
    AREA_LABEL,
    COMPONENT_LABEL,
    NAME_LABEL,
    ROLE_LABEL,
    SIMULATOR_COMPONENT,
    TERM_ANNOTATION,
)
from tests.cluster.backends import Cluster
from tests.cluster.native.images import ROOT
from tests.cluster.native.sandbox import ClusterError
from tests.cluster.watcher import Object, Watcher

NAMESPACE = "pairsim"
BOUNDS = {"min": [0, 0, 0], "max": [100, 100, 50]}
_SIMULATORS = f"{NAME_LABEL}={APP_NAME},{COMPONENT_LABEL}={SIMULATOR_COMPONENT}"


@dataclass(frozen=True)
class Pod:
    """The fields of a pod that tests use."""

    name: str
    uid: str
    node: str
    address: str
    component: str
    addresses: frozenset[str] = frozenset()

    @classmethod
    def of(cls, found: Object) -> Pod:
        meta = found["metadata"]
        component = meta["labels"][COMPONENT_LABEL]
        status = found["status"]
        return cls(
            meta["name"],
            meta["uid"],
            found["spec"].get("nodeName", ""),
            status.get("podIP", ""),
            component,
            frozenset(each["ip"] for each in status.get("podIPs", [])),
        )


@dataclass
class Roles:
    """When each pod was labelled active, and every moment at which two pods were."""

    active: dict[str, set[str]] = field(default_factory=dict)
    changes: list[tuple[float, str, str]] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    last: dict[str, str] = field(default_factory=dict)

    def saw(self, at: float, event: str, pod: Object) -> None:
        """Takes in an event of the watch on the pool's pods."""
        if event == "RESTART":
            self.active.clear()
            return
        labels, name = pod["metadata"].get("labels", {}), pod["metadata"]["name"]
        area = labels.get(AREA_LABEL, "")
        for other, names in self.active.items():
            if other != area or event == "DELETED" or labels.get(ROLE_LABEL) != "active":
                names.discard(name)
        if event == "DELETED" or labels.get(ROLE_LABEL) != "active":
            return
        names = self.active.setdefault(area, set())
        if name not in names:
            names.add(name)
            if self.last.get(area) != name:  # a watch that begins anew tells what was so before
                self.changes.append((at, area, name))
            self.last[area] = name
        if len(names) > 1:
            self.doubled.append(f"at {at:.3f} {' and '.join(sorted(names))} are both labelled active of {area}")


class World:
    """A world that is installed from the manifests and watched until it is closed."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.roles = Roles()
        self._numbers = itertools.count(1)
        self.pods = Watcher(cluster.kubectl_command, "pods", "-n", NAMESPACE, "-l", f"{NAME_LABEL}={APP_NAME}")
        self.areas = Watcher(cluster.kubectl_command, "areas", "-n", NAMESPACE)
        self.pods.each(self._saw_pod)

    def install(self, overlay: str) -> None:
        """Runs the commands of a user; returns when all Deployments are ready."""
        self.cluster.kubectl("apply", "-k", str(ROOT / "manifests" / "overlays" / overlay))
        self.pods.start()
        self.areas.start()
        for name in ("controller", "witness", "simulator"):
            self.kubectl("rollout", "status", f"deployment/pairsim-{name}", "--timeout=120s", seconds=150)

    def close(self) -> None:
        self.pods.close()
        self.areas.close()

    def kubectl(self, *words: str, stdin: bytes = b"", seconds: float = 60.0) -> str:
        """Runs kubectl in the world's namespace."""
        return self.cluster.kubectl("-n", NAMESPACE, *words, stdin=stdin, seconds=seconds)

    def apply(self, *documents: Object) -> None:
        """Applies documents."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents).encode())

    def new_area(self, *, entities: int = 500, tick_rate: int = 20) -> str:
        """Applies a plane with one area of a name that no other test has; does not wait."""
        number = next(self._numbers)
        name = f"area{number}"
        self.apply(plane(f"plane{number}", tick_rate), area(name, f"plane{number}", entities))
        return name

    def remove(self, name: str) -> None:
        """Deletes an area and waits until its pods are spares again."""
        self.kubectl("delete", "area", name, "--ignore-not-found", "--timeout=60s", seconds=90)
        self.kubectl("delete", "plane", name.replace("area", "plane"), "--ignore-not-found")
        self.pods.wait(
            f"nobody has {name}", lambda pods: not [p for p in pods.values() if label(p, AREA_LABEL) == name], 30
        )

    def status(self, name: str) -> Object:
        """Returns the newest observed status of an area."""
        return self.areas.objects.get(name, {}).get("status", {})

    def role(self, name: str, role: str) -> Pod:
        """Waits for exactly one pod of an area with a role, and returns it."""

        def found(pods: dict[str, Object]) -> Object | None:
            fitting = [
                p for p in pods.values() if label(p, AREA_LABEL) == name and label(p, ROLE_LABEL) == role and ready(p)
            ]
            return fitting[0] if len(fitting) == 1 else None

        return Pod.of(self.pods.wait(f"{name} has one {role}", found, 60))

    def component(self, component: str) -> list[Pod]:
        """Returns the pods of a component that are not being deleted."""
        found = [p for p in self.pods.objects.values() if "deletionTimestamp" not in p["metadata"]]
        return [pod for pod in map(Pod.of, found) if pod.component == component]

    def condition(self, name: str, kind: str, value: str = "True", seconds: float = 60.0) -> None:
        """Waits for a condition of an area."""
        self.areas.wait(f"{name} is {kind}={value}", lambda areas: is_so(areas.get(name), kind, value), seconds)

    def redundant(self, name: str, seconds: float = 60.0) -> None:
        """Waits until status and labels agree, for the same leadership, that the passive could take over."""
        self.condition(name, "Redundant", seconds=seconds)

        def told(areas: dict[str, Object]) -> bool:
            status = areas[name].get("status", {})
            pods = self.pods.objects
            # Who cannot be asked keeps the label that it had; it is not Ready, and no Service leads to it.
            labels = {label(p, ROLE_LABEL): n for n, p in pods.items() if label(p, AREA_LABEL) == name and ready(p)}
            active = labels.get("active", "")
            return (
                is_so(areas[name], "Redundant", "True")
                and labels == {"active": status["active"], "passive": status["passive"]}
                and pods[active]["metadata"]["annotations"].get(TERM_ANNOTATION) == str(status["term"])
            )

        self.areas.wait(f"{name} is redundant", told, seconds)

    def kill(self, pod: Pod, number: signal.Signals = signal.SIGKILL) -> float:
        """Kills a pod's process with SIGKILL; returns the Unix time."""
        return self.cluster.signal(pod.node, pod.uid, pod.component, number)

    def swapped(self, name: str, since: float, seconds: float = 30.0) -> float:
        """Waits until another pod is labelled active; returns the seconds until a watch on the API server saw it."""

        def found(_pods: dict[str, Object]) -> float | None:
            later = [at for at, area, _pod in self.roles.changes if area == name and at >= since]
            return later[0] - since if later else None

        return float(self.pods.wait(f"{name} has another active", found, seconds))

    def get(self, pod: Pod, path: str) -> Object:
        """Sends a request to a pod's HTTP API from inside the cluster; returns the JSON answer."""
        return json.loads(self.curl(pod, path))

    def curl(self, pod: Pod, path: str) -> str:
        """Returns the answer as text; the pod itself sends the request, started by the API server and the kubelet."""
        script = (
            f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080{path}', timeout=5).read().decode())"
        )
        return self.kubectl("exec", pod.name, "-c", pod.component, "--", "python", "-c", script)

    def events(self, name: str) -> list[Object]:
        """Returns the events about an area."""
        said = self.kubectl("get", "events.events.k8s.io", "--field-selector", f"regarding.name={name}", "-o", "json")
        return [e for e in json.loads(said)["items"] if e["regarding"]["kind"] == "Area"]

    def _saw_pod(self, at: float, event: str, pod: Object) -> None:
        if event == "RESTART" or pod["metadata"]["labels"].get(COMPONENT_LABEL) == SIMULATOR_COMPONENT:
            self.roles.saw(at, event, pod)


def plane(name: str, tick_rate: float = 20, **fields: object) -> Object:
    """Returns a plane as a user writes it, with further fields of its spec."""
    spec = {"simulator": "physics", "tickRate": tick_rate, "seed": 7, "bounds": BOUNDS, **fields}
    return {**_head("Plane", name), "spec": spec}


def area(name: str, of: str, entities: int) -> Object:
    """Returns an area as a user writes it."""
    return {**_head("Area", name), "spec": {"plane": of, "bounds": BOUNDS, "entities": entities}}


def _head(kind: str, name: str) -> Object:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata}


def label(found: Object, key: str) -> str:
    """Returns a label's value; empty if it is missing."""
    return str(found["metadata"].get("labels", {}).get(key, ""))


def ready(pod: Object) -> bool:
    """Returns whether Services route to the pod."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def is_so(found: Object | None, kind: str, value: str) -> bool:
    """Returns whether an area has a condition."""
    conditions = (found or {}).get("status", {}).get("conditions", [])
    return any(c["type"] == kind and c["status"] == value for c in conditions)


def endpoints(world: World, service: str) -> set[str]:
    """Returns the addresses of both families that a Service leads to."""
    found = world.kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={service}", "-o", "json")
    each = [e for part in json.loads(found)["items"] for e in part["endpoints"] or []]
    return {e["addresses"][0] for e in each if e["conditions"]["ready"]}


def eventually(what: str, holds: Any, seconds: float) -> Any:
    """Polls until a condition holds that no watch reports."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)
    return found


def leader(world: World) -> str:
    """Waits for a controller that holds the lease, and returns its pod."""

    def holder() -> str:
        found = world.kubectl("get", "lease", "pairsim-controller", "--ignore-not-found", "-o", "json")
        return str(json.loads(found)["spec"].get("holderIdentity") or "") if found else ""

    return str(eventually("somebody holds the lease", holder, 60))
