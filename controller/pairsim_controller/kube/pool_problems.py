"""Why a pool of processes lacks pods, as Kubernetes reports it; pure.

A quota or a limit range makes the API server refuse new pods, which a Deployment reports as the condition
`ReplicaFailure`. A pod that no node can take, or whose container cannot start, reports that itself. An area that waits
for a process passes the first such problem on to its user, since nobody who looks at the area would look there.

A problem keeps its words while it lasts: the numbers in them change all the time, and areas must not be written then.
"""

from __future__ import annotations

from collections.abc import Callable

from pairsim.model.labels import COMPONENT_LABEL
from pairsim_controller.kube.api.objects import DeploymentObject, ForeignCondition, Pod
from pairsim_controller.kube.pods import kind_of
from pairsim_controller.plan.view import Kind

_MAX_CHARACTERS = 300
_START_FAILURES = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
"""Reasons of a waiting container that do not pass by themselves."""


class PoolProblems:
    """The problems of the pools of simulators and witnesses; each event costs the same however many pods exist."""

    def __init__(self, on_change: Callable[[Kind], None]) -> None:
        """Calls `on_change` with a kind of process whose `message` has changed."""
        self._on_change = on_change
        self._found: dict[Kind, dict[str, tuple[str, str]]] = {kind: {} for kind in Kind}

    def message(self, kind: Kind) -> str:
        """Returns why there are too few pods of a kind, as a sentence; empty if no reason is known."""
        return next((text for _reason, text in self._found[kind].values()), "")

    def on_pod(self, name: str, pod: Pod | None) -> None:
        """Takes in a pod of the world; None if it is gone."""
        kind = kind_of(pod) if pod is not None else None
        for other in Kind:
            found = _pod_problem(pod) if pod is not None and other is kind else None
            self._set(other, f"pod {name}", found)

    def on_deployment(self, name: str, deployment: DeploymentObject | None) -> None:
        """Takes in a Deployment of the world; None if it is gone."""
        component = deployment.metadata.labels.get(COMPONENT_LABEL, "") if deployment is not None else ""
        for kind in Kind:
            found = _deployment_problem(deployment) if deployment is not None and kind.value == component else None
            self._set(kind, f"deployment {name}", found)

    def _set(self, kind: Kind, key: str, found: tuple[str, str] | None) -> None:
        problems = self._found[kind]
        before = problems.get(key)
        if (before[0] if before is not None else None) == (found[0] if found is not None else None):
            return
        message = self.message(kind)
        if found is None:
            del problems[key]
        else:
            problems[key] = found
        if message != self.message(kind):
            self._on_change(kind)


def _pod_problem(pod: Pod) -> tuple[str, str] | None:
    """Returns the reason in one word and the sentence; None if nothing keeps the pod from running."""
    name = pod.metadata.name
    scheduled = _condition(pod.status.conditions, "PodScheduled", "False")
    if scheduled is not None:
        return "Unschedulable", f"no node can take the pod {name}: {_short(scheduled)}"
    for container in pod.status.container_statuses:
        waiting = container.state.waiting
        if waiting is not None and waiting.reason in _START_FAILURES:
            about = f": {waiting.message}" if waiting.message else ""
            return waiting.reason, f"the pod {name} does not start: {waiting.reason}{about}"[:_MAX_CHARACTERS]
    return None


def _deployment_problem(deployment: DeploymentObject) -> tuple[str, str] | None:
    failure = _condition(deployment.status.conditions, "ReplicaFailure", "True")
    if failure is None:
        return None
    return failure.reason, f"the Deployment {deployment.metadata.name} cannot create pods: {_short(failure)}"


def _condition(conditions: tuple[ForeignCondition, ...], kind: str, status: str) -> ForeignCondition | None:
    return next((c for c in conditions if c.type == kind and c.status == status), None)


def _short(condition: ForeignCondition) -> str:
    """Returns the message without the name of the pod that was refused, which is another one at each attempt."""
    message = condition.message or condition.reason
    return message.rpartition(" is forbidden: ")[2][:_MAX_CHARACTERS]
