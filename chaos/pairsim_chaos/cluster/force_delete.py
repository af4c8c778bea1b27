"""Decides how faults are removed whose injection failed; pure functions.

Chaos Mesh handles a fault in passes of several steps. The step of the records injects the fault in every pod that is in
a phase `Not Injected/*`, also when the fault is deleted: a fault is recovered only after it was injected. While an
injection fails, for example because the kernel lacks netem, each pass ends with this step. The last step removes the
finalizer, and is not reached; the annotation `cleanFinalizer` does not help, because only the last step reads it.

Chaos Mesh keeps the faults of each pod in an object with the name of the pod, its *pod record*. Where the pod record
does not exist, the injection counts as not done, and the deletion goes on. The fault has to be deleted before the pod
record, because Chaos Mesh would write the pod record of an undeleted fault again.

A pod record that is deleted while another fault is in the pod leaves that fault there. It is therefore kept until no
other fault of the same kind is in the pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pairsim_chaos.cluster.objects import ChaosObject

_POD_RECORDS = {"networkchaos": "podnetworkchaos", "iochaos": "podiochaos"}
"""The collections of pod records, by the collection of the faults that they hold."""


def pod_records(plural: str) -> str:
    """Returns the collection with the pod records of a kind of fault; empty for kinds without such records."""
    return _POD_RECORDS.get(plural, "")


def deletable_records(fault: ChaosObject, faults: Iterable[ChaosObject], *, settled: bool) -> tuple[str, ...]:
    """Returns the pods (`NAMESPACE/POD`) whose records keep a deleted fault from going, and may be deleted.

    Args:
        fault: The fault.
        faults: All faults of the same kind, which may be in the same pods.
        settled: Whether Chaos Mesh had time to remove other deleted faults from the pods. Their removal is reported as
            failed as long as the injection of `fault` fails.
    """
    if fault.metadata.deletion_timestamp is None:
        return ()
    others = [each for each in faults if each.metadata.uid != fault.metadata.uid]
    return tuple(pod for pod in fault.failed_in if not any(each.holds(pod, settled=settled) for each in others))


def blocking_faults(fault: ChaosObject, faults: Iterable[ChaosObject]) -> tuple[str, ...]:
    """Returns the names of other faults that are in the pods in which the injection of a fault failed."""
    others = [each for each in faults if each.metadata.uid != fault.metadata.uid]
    return tuple(each.metadata.name for each in others if any(each.holds(pod, settled=True) for pod in fault.failed_in))


def manual_commands(namespace: str, plural: str, name: str, failed_in: Sequence[str]) -> str:
    """Returns the commands that delete a fault by hand, and the records of the pods in which its injection failed.

    The deletion of such a fault waits for its finalizer, so the first command must not wait for the deletion.
    """
    fault, records = f"{plural}.chaos-mesh.org/{name}", pod_records(plural)
    if not failed_in or not records:
        return f"`kubectl -n {namespace} delete {fault}`"
    pods: dict[str, list[str]] = {}
    for pod in failed_in:
        home, _, own = pod.partition("/")
        pods.setdefault(home, []).append(own)
    commands = [f"kubectl -n {namespace} delete --ignore-not-found --wait=false {fault}"]
    commands += [
        f"kubectl -n {home} delete --ignore-not-found {records}.chaos-mesh.org {' '.join(names)}"
        for home, names in pods.items()
    ]
    return f"`{'; '.join(commands)}`"
