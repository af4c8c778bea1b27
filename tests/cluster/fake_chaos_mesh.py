"""A fake Chaos Mesh for clusters without it: its resources, and a small part of its controller.

The fake kills pods and containers. It fails to inject network faults as Chaos Mesh does on nodes without netem: it
keeps a record for each pod, and a fault that is deleted stays until its pod records are gone. It does not show how the
real Chaos Mesh handles the project's files.
"""

from __future__ import annotations

import json
import threading

from pairsim_chaos.experiment.faults import PodFault
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.spec.schema import plural, spec_schema
from tests.chaos_mesh_pipeline import passed, selected
from tests.cluster.native.sandbox import ClusterError
from tests.cluster.watcher import Object, Watcher
from tests.cluster.world import NAMESPACE, Pod, World

KINDS = ("PodChaos", "NetworkChaos")
FAULTS, POD_RECORDS = "networkchaos.chaos-mesh.org", "podnetworkchaos.chaos-mesh.org"
NO_NETEM = "unable to set tcs"


class FakeChaosMesh:
    """A fake Chaos Mesh that works until it is closed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._watchers: list[Watcher] = []
        self._begun: set[str] = set()
        self._lock = threading.Lock()

    def open(self) -> None:
        """Installs the resources and starts to carry out experiments."""
        free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        self._world.apply(
            *(_definition(kind, plural(kind), spec_schema(kind)) for kind in KINDS),
            _definition("PodNetworkChaos", "podnetworkchaos", free),
        )
        for name in (*(f"{plural(kind)}.chaos-mesh.org" for kind in KINDS), POD_RECORDS):
            self._world.kubectl("wait", f"crd/{name}", "--for=condition=Established", "--timeout=30s", seconds=40)
            watcher = Watcher(self._world.cluster.kubectl_command, name, "-n", NAMESPACE)
            watcher.each(self._on_pod_record if name == POD_RECORDS else self._on_event)
            self._watchers.append(watcher)
            watcher.start()

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()
        for name in self._world.kubectl("get", FAULTS, "-o", "name").split():
            self._patch(name, {"metadata": {"finalizers": None}})  # the deletion of the kind would wait for it
        for name in (*(f"{plural(kind)}.chaos-mesh.org" for kind in KINDS), POD_RECORDS):
            self._world.kubectl("delete", "crd", name, "--ignore-not-found")

    def _on_pod_record(self, _at: float, event: str, _found: Object) -> None:
        if event == "DELETED":
            for name in self._world.kubectl("get", FAULTS, "-o", "name").split():
                self._pass_over(name)

    def _on_event(self, _at: float, event: str, found: Object) -> None:
        if event not in ("ADDED", "MODIFIED"):
            return
        name = f"{found['kind'].lower()}.chaos-mesh.org/{found['metadata']['name']}"
        if found["metadata"]["uid"] not in self._begun:
            self._begun.add(found["metadata"]["uid"])
            self._begin(found, name)
        if found["kind"] == "NetworkChaos":
            self._pass_over(name)

    def _begin(self, found: Object, where: str) -> None:
        document = json.dumps({key: found[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": _named(found)})
        (experiment,) = load_experiments(document)
        fault = experiment.spec
        assert not isinstance(fault, str)
        selectors = ",".join(f"{name}={value}" for name, value in found["spec"]["selector"]["labelSelectors"].items())
        names = self._world.kubectl("get", "pods", "-l", selectors, "-o", "name").split()[:1]
        pods = [f"{NAMESPACE}/{name.partition('/')[2]}" for name in names]
        if not isinstance(fault, PodFault):
            self._patch(where, {"status": selected(*pods)}, "--subresource=status")
            return
        if fault.action == "container-kill":
            for name in names:
                self._world.kill(Pod.of(self._world.pods.objects[name.partition("/")[2]]))
        else:
            self._world.kubectl("delete", *names, "--grace-period=0", "--force", "--wait=false")
        records = [{"id": pod, "events": [{"type": "Succeeded"}]} for pod in pods]
        condition = {"type": "AllInjected", "status": "True"}
        status = {"conditions": [condition], "experiment": {"containerRecords": records}}
        self._patch(where, {"status": status}, "--subresource=status")

    def _pass_over(self, where: str) -> None:
        """Makes one pass over a network fault; each change of the fault causes another pass."""
        with self._lock:
            read = self._world.kubectl("get", where, "-o", "json", "--ignore-not-found")
            if not read or "status" not in (fault := json.loads(read)):
                return
            listed = self._world.kubectl("get", POD_RECORDS, "-o", "name").split()
            before = frozenset(f"{NAMESPACE}/{name.partition('/')[2]}" for name in listed)
            after, records = passed(fault, before)
            for pod in records - before:
                meta = {"name": pod.partition("/")[2], "namespace": NAMESPACE}
                self._world.apply({"apiVersion": fault["apiVersion"], "kind": "PodNetworkChaos", "metadata": meta})
            if after is None:
                self._patch(where, {"metadata": {"finalizers": None}})
                return
            if after["metadata"] != fault["metadata"]:
                self._patch(where, {"metadata": {"finalizers": after["metadata"]["finalizers"]}})
            if after["status"] != fault["status"]:
                self._patch(where, {"status": after["status"]}, "--subresource=status")

    def _patch(self, where: str, body: Object, *words: str) -> None:
        try:
            self._world.kubectl("patch", where, *words, "--type=merge", "-p", json.dumps(body))
        except ClusterError as error:
            if "NotFound" not in str(error):
                raise


def _named(found: Object) -> Object:
    return {key: found["metadata"][key] for key in ("name", "namespace")}


def _definition(kind: str, plural_name: str, spec: Object) -> Object:
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    properties = {"spec": spec, "status": free}
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural_name}.chaos-mesh.org"},
        "spec": {
            "group": "chaos-mesh.org",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural_name, "singular": plural_name, "listKind": f"{kind}List"},
            "versions": [version],
        },
    }
