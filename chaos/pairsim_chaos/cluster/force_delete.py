"""A fault that cannot be injected cannot be taken back either, and is forced; pure.

Chaos Mesh applies what is in a phase `Not Injected/*` before it recovers it (`controllers/common/records`): where the
kernel lacks netem, a deleted fault is tried for ever. An annotation makes it go as it is. What it wrote down for its
pods stays then, and every later fault of the same kind fails on it: that is deleted, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from pairsim_controller.kube.api.port import Body

_ANNOTATION, _FORCED = "chaos-mesh.chaos-mesh.org/cleanFinalizer", "forced"
_WRITTEN_DOWN = {"networkchaos": "podnetworkchaos", "iochaos": "podiochaos"}
"""Where Chaos Mesh keeps what it wants of a pod, under the pod's name."""

FORCE: Body = {"metadata": {"annotations": {_ANNOTATION: _FORCED}}}
"""A merge patch."""
MERGE = "application/merge-patch+json"


def written_down(plural: str) -> str:
    """The collection of what a fault of this kind leaves at its pods; empty if it leaves nothing and goes by itself."""
    return _WRITTEN_DOWN.get(plural, "")


def by_hand(namespace: str, plural: str, name: str, pods: Sequence[str]) -> str:
    """The commands that take a fault back; those that force it if its injection failed in `pods`."""
    kubectl, fault, left = f"kubectl -n {namespace}", f"{plural}.chaos-mesh.org/{name}", written_down(plural)
    if not pods or not left:
        return f"`{kubectl} delete {fault}`"
    commands = (
        f"{kubectl} annotate {fault} {_ANNOTATION}={_FORCED}",
        f"{kubectl} delete --ignore-not-found {fault}",
        f"{kubectl} delete --ignore-not-found {left}.chaos-mesh.org {' '.join(pods)}",
    )
    return f"`{'; '.join(commands)}`"
