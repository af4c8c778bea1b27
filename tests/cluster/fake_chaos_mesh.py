"""A fake Chaos Mesh for clusters without it: its resources, and a small part of its controller.

The fake kills pods and containers, and refuses network faults as Chaos Mesh does on nodes without netem. It does not
show how the real Chaos Mesh handles the project's files.
"""

from __future__ import annotations

import json

from pairsim_chaos.experiment.faults import PodFault
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.spec.schema import plural, spec_schema
from tests.cluster.native.sandbox import ClusterError
from tests.cluster.watcher import Object, Watcher
from tests.cluster.world import NAMESPACE, Pod, World

KINDS = ("PodChaos", "NetworkChaos")
NO_NETEM = "unable to set tcs: RTNETLINK answers: No such file or directory"


class FakeChaosMesh:
    """A fake Chaos Mesh that works until it is closed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._watchers: list[Watcher] = []
        self._begun: set[str] = set()

    def open(self) -> None:
        """Installs the resources and starts to carry out experiments."""
        self._world.apply(*map(_definition, KINDS))
        for kind in KINDS:
            name = f"{plural(kind)}.chaos-mesh.org"
            self._world.kubectl("wait", f"crd/{name}", "--for=condition=Established", "--timeout=30s", seconds=40)
            watcher = Watcher(self._world.cluster.kubectl_command, name, "-n", NAMESPACE)
            watcher.each(self._on_event)
            self._watchers.append(watcher)
            watcher.start()

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()
        for kind in KINDS:
            self._world.kubectl("delete", "crd", f"{plural(kind)}.chaos-mesh.org", "--ignore-not-found")

    def _on_event(self, _at: float, event: str, found: Object) -> None:
        if event != "ADDED" or found["metadata"]["uid"] in self._begun:
            return
        self._begun.add(found["metadata"]["uid"])
        document = json.dumps({key: found[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": _named(found)})
        (experiment,) = load_experiments(document)
        fault = experiment.spec
        assert not isinstance(fault, str)
        selectors = ",".join(f"{name}={value}" for name, value in found["spec"]["selector"]["labelSelectors"].items())
        names = self._world.kubectl("get", "pods", "-l", selectors, "-o", "name").split()[:1]
        if isinstance(fault, PodFault) and fault.action == "container-kill":
            for name in names:
                self._world.kill(Pod.of(self._world.pods.objects[name.partition("/")[2]]))
        elif isinstance(fault, PodFault):
            self._world.kubectl("delete", *names, "--grace-period=0", "--force", "--wait=false")
        self._write_status(found, names, failed=not isinstance(fault, PodFault))

    def _write_status(self, found: Object, names: list[str], *, failed: bool) -> None:
        event = {"type": "Failed", "operation": "Apply", "message": NO_NETEM} if failed else {"type": "Succeeded"}
        records = [{"id": f"{NAMESPACE}/{name.partition('/')[2]}", "events": [event]} for name in names]
        condition = {"type": "AllInjected", "status": "False" if failed else "True"}
        body = {"status": {"conditions": [condition], "experiment": {"containerRecords": records}}}
        where = f"{found['kind'].lower()}.chaos-mesh.org/{found['metadata']['name']}"
        try:
            self._world.kubectl("patch", where, "--subresource=status", "--type=merge", "-p", json.dumps(body))
        except ClusterError as error:
            if "NotFound" not in str(error):
                raise


def _named(found: Object) -> Object:
    return {key: found["metadata"][key] for key in ("name", "namespace")}


def _definition(kind: str) -> Object:
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    properties = {"spec": spec_schema(kind), "status": free}
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
        "metadata": {"name": f"{plural(kind)}.chaos-mesh.org"},
        "spec": {
            "group": "chaos-mesh.org",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural(kind), "singular": plural(kind), "listKind": f"{kind}List"},
            "versions": [version],
        },
    }
