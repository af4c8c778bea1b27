"""Sentences about what the cluster refused or could not do, with what a user can do about it; pure functions.

Chaos Mesh reports a failed injection once for each pod, and every message repeats the name of the pod. Messages with
the same content become one sentence with the pods.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pairsim_chaos.experiment.faults import Fault

_POD = re.compile(r"failed to apply for pod \S+: | for pod \S+")
"""The places at which Chaos Mesh's messages name the pod."""
_TRAFFIC = "unable to set tcs"
"""What Chaos Mesh reports if `tc` fails in a pod; the reason is only in the log of its daemon."""
_NETEM = frozenset({"netem", "delay", "loss", "duplicate", "corrupt"})
_COMPONENT = "manifests/components/chaos"


def injection_failures(failures: Iterable[tuple[str, str]], action: str, *, with_target: bool) -> str:
    """Returns one sentence for all pods that report the same failure.

    Args:
        failures: Pods (`NAMESPACE/POD`, maybe with a container) and the messages of Chaos Mesh about them.
        action: The action of the fault; empty if it is unknown.
        with_target: Whether the fault has a `target`.
    """
    pods: dict[str, list[str]] = {}
    for pod, message in failures:
        pods.setdefault(_POD.sub("", message), []).append(pod)
    return "; ".join(
        f"{', '.join(dict.fromkeys(names))}: {_explained(message, action, with_target=with_target)}"
        for message, names in pods.items()
    )


def _explained(message: str, action: str, *, with_target: bool) -> str:
    if _TRAFFIC not in message:
        return message
    if action in _NETEM:
        return f"the node's kernel lacks netem{' or sch_prio' if with_target else ''} ({message})"
    if action == "bandwidth":
        return f"the node's kernel lacks tbf{' or sch_prio' if with_target else ''} ({message})"
    if action == "partition":
        return f"another fault in the pod needs what the node's kernel lacks, delete that fault first ({message})"
    return f"the node's kernel cannot shape traffic in this way ({message})"


def foreign_selection(faults: Iterable[Fault], namespace: str, world: str) -> str:
    """Returns what to write if a fault takes no pod from the namespace of the world; empty if each may take one.

    The verdict on the world would say nothing about a fault in other pods.

    Args:
        faults: The faults of the experiment.
        namespace: The namespace of the experiment, which a selector without namespaces means.
        world: The namespace of the world.
    """
    for fault in faults:
        chosen = tuple(fault.selector.pods) or fault.selector.namespaces or (namespace,)
        if world not in chosen:
            return (
                f"the experiment selects pods of {', '.join(chosen)}, but the world is in {world}: write namespace: "
                f"{world} in its metadata, and {world} in the namespaces of its selectors"
            )
    return ""


def refused_experiment(namespace: str, world: str, error: Exception) -> str:
    """Returns what to do if the API server refuses the experiments of a namespace to this run.

    Args:
        namespace: The namespace of the experiment.
        world: The namespace of the world.
        error: The error of the API server.
    """
    if namespace != world:
        return (
            f"the experiment is in the namespace {namespace}, but the world is in {world}: write namespace: {world} in "
            f"the metadata and in the selectors of the experiment ({error})"
        )
    return f"this run has no permission for experiments in {world}: apply {_COMPONENT} ({error})"


def refused_world(world: str, error: Exception) -> str:
    """Returns what to do if the API server does not let this run read the areas and pods of a namespace."""
    return (
        f"this run has no permission to read the world in the namespace {world}: pass the namespace of the world with "
        f"--namespace, or apply {_COMPONENT} there ({error})"
    )


def unknown_collection(namespace: str, error: Exception) -> str:
    """Returns why an object cannot be created in a collection that does not exist."""
    if f'namespaces "{namespace}" not found' in str(error):
        return f"the namespace {namespace} of the experiment does not exist: write the namespace of the world ({error})"
    return f"the cluster does not know the kind of the experiment: install Chaos Mesh 2.x ({error})"
