"""The passes of Chaos Mesh's controller over a network fault that the kernel cannot carry out; pure.

Both fakes of Chaos Mesh use these passes: the one in memory and the one on a cluster. Source: `controllers/common`
(`step.go`, `records`, `finalizers`) and `controllers/chaosimpl/networkchaos` of Chaos Mesh 2.8. Two properties matter:
a pass in which an injection fails ends before the step that removes the finalizer, and an injection whose pod record
does not exist is given up.
"""

from __future__ import annotations

import copy
from collections.abc import Set as AbstractSet
from typing import Any

Object = dict[str, Any]
FINALIZER = "chaos-mesh/records"
ANNOTATION = "chaos-mesh.chaos-mesh.org/cleanFinalizer"
_NOT_INJECTED, _WAITING = "Not Injected", "Not Injected/Wait"


def selected(*pods: str) -> Object:
    """Returns the status of a fault whose pods (`NAMESPACE/POD`) were selected, before the first injection."""
    records = [{"id": pod, "selectorKey": ".", "phase": _NOT_INJECTED} for pod in pods]
    return {"conditions": _conditions("True"), "experiment": {"containerRecords": records}}


def passed(fault: Object, pod_records: AbstractSet[str]) -> tuple[Object | None, frozenset[str]]:
    """Returns a fault and the pod records (by `NAMESPACE/POD`) after one pass; None for a fault that is gone."""
    found, records = copy.deepcopy(fault), frozenset(pod_records)
    meta = found["metadata"]
    deleted = meta.get("deletionTimestamp") is not None
    if not deleted:
        meta["finalizers"] = list({*meta.get("finalizers", ()), FINALIZER})
    retry = False
    of_pods = found["status"]["experiment"]["containerRecords"]
    for each in of_pods:
        if each["phase"] == "Injected":
            each["phase"] = _NOT_INJECTED if deleted else "Injected"
        elif each["phase"] == _NOT_INJECTED:
            if not deleted:
                records |= {each["id"]}
                each["phase"] = _WAITING
        elif each["id"] not in records:
            each["phase"] = _NOT_INJECTED
        else:
            each["events"] = [{"type": "Failed", "operation": "Apply", "message": _failure(each["id"])}]
            retry = True
    if retry:
        return found, records
    if deleted and (
        meta.get("annotations", {}).get(ANNOTATION) == "forced" or all(e["phase"] == _NOT_INJECTED for e in of_pods)
    ):
        return None, records
    return found, records


def _failure(pod: str) -> str:
    return f"failed to apply for pod {pod}: unable to set tcs for pod {pod.partition('/')[2]}"


def _conditions(is_selected: str) -> list[Object]:
    return [{"type": "Selected", "status": is_selected}, {"type": "AllInjected", "status": "False"}]
