"""Forces the deletion of faults whose injection failed; pure functions.

Chaos Mesh injects every fault in a phase `Not Injected/*` before it recovers the fault (`controllers/common/records`).
Where the kernel lacks netem, a deleted fault is therefore retried without end. An annotation makes Chaos Mesh drop such
a fault. The objects in which Chaos Mesh recorded the fault for each pod then remain, and would make every later fault
of the same kind fail on these pods; they have to be deleted as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from pairsim_controller.kube.api.port import Body

_ANNOTATION, _FORCED = "chaos-mesh.chaos-mesh.org/cleanFinalizer", "forced"
_POD_RECORDS = {"networkchaos": "podnetworkchaos", "iochaos": "podiochaos"}
"""The collections in which Chaos Mesh records the faults of each pod, under the name of the pod."""

FORCE: Body = {"metadata": {"annotations": {_ANNOTATION: _FORCED}}}
"""A merge patch that forces the deletion of a fault."""
MERGE = "application/merge-patch+json"


def pod_records(plural: str) -> str:
    """Returns the collection with the pod records of a kind of fault; empty for kinds without such records."""
    return _POD_RECORDS.get(plural, "")


def manual_commands(namespace: str, plural: str, name: str, pods: Sequence[str]) -> str:
    """Returns the commands that delete a fault by hand; they force it if its injection failed in `pods`."""
    kubectl, fault, records = f"kubectl -n {namespace}", f"{plural}.chaos-mesh.org/{name}", pod_records(plural)
    if not pods or not records:
        return f"`{kubectl} delete {fault}`"
    commands = (
        f"{kubectl} annotate {fault} {_ANNOTATION}={_FORCED}",
        f"{kubectl} delete --ignore-not-found {fault}",
        f"{kubectl} delete --ignore-not-found {records}.chaos-mesh.org {' '.join(pods)}",
    )
    return f"`{'; '.join(commands)}`"
