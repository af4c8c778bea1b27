"""The faults of Chaos Mesh as a runner needs them: typed, with its defaults filled in.

Fields that pairsim has no use for are left out; a cluster is sent the document as it was written.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from pairsim_chaos.lint.ineffective import ONCE
from pairsim_chaos.spec.quantities import seconds

Mode = Literal["one", "all", "fixed", "fixed-percent", "random-max-percent"]
Direction = Literal["to", "from", "both"]
NetworkAction = Literal["netem", "delay", "loss", "duplicate", "corrupt", "partition", "bandwidth"]


class Part(msgspec.Struct, frozen=True, rename="camel"):
    """Fields that are not named here are the linter's matter."""


class Expression(Part, frozen=True):
    """A requirement on a label."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether labels meet it; as in Kubernetes, NotIn holds where the label is not there."""
        if self.operator == "Exists":
            return self.key in labels
        if self.operator == "DoesNotExist":
            return self.key not in labels
        return (labels.get(self.key) in self.values) == (self.operator == "In")


class Selector(Part, frozen=True):
    """Which pods may be meant. `pods` (names by namespace) switches the others off."""

    namespaces: tuple[str, ...] = ()
    label_selectors: dict[str, str] = {}
    expression_selectors: tuple[Expression, ...] = ()
    annotation_selectors: dict[str, str] = {}
    field_selectors: dict[str, str] = {}
    nodes: tuple[str, ...] = ()
    node_selectors: dict[str, str] = {}
    pods: dict[str, tuple[str, ...]] = {}
    pod_phase_selectors: tuple[str, ...] = ()

    def matches_labels(self, labels: dict[str, str]) -> bool:
        """Whether the selectors of labels are met; the others are not looked at."""
        return all(labels.get(name) == value for name, value in self.label_selectors.items()) and all(
            expression.matches(labels) for expression in self.expression_selectors
        )

    def beyond_labels(self) -> tuple[str, ...]:
        """Fields in use that ask for more than labels and namespaces; a local world has nothing to answer them with."""
        others = {
            "annotationSelectors": self.annotation_selectors,
            "fieldSelectors": self.field_selectors,
            "nodes": self.nodes,
            "nodeSelectors": self.node_selectors,
            "pods": self.pods,
            "podPhaseSelectors": self.pod_phase_selectors,
        }
        return tuple(name for name, value in others.items() if value)


class Target(Part, frozen=True):
    """Pods: how many of those that a selector means."""

    selector: Selector
    mode: Mode
    value: str = ""

    def most(self, selected: int) -> int:
        """How many pods are taken of as many as were selected; for random-max-percent, at most.

        Percentages are rounded up, as in Chaos Mesh (`pkg/selector/generic/mode.go`).
        """
        if self.mode == "one":
            return min(1, selected)
        if self.mode == "all":
            return selected
        value = int(self.value)
        return min(value, selected) if self.mode == "fixed" else -(-selected * value // 100)


class Timed(Target, frozen=True):
    """What all faults have.

    Attributes:
        duration: As written; empty where the fault is done at once, or a template's deadline ends it.
        container_names: Of the pods; none means the first.
    """

    duration: str = ""
    container_names: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long it lasts; None where nothing is said."""
        return seconds(self.duration) if self.duration else None


class PodFault(Timed, frozen=True, kw_only=True):
    """`PodChaos`."""

    action: Literal["pod-kill", "pod-failure", "container-kill"]
    grace_period: int = 0

    @property
    def once(self) -> bool:
        """Whether it is done when it is done, and nothing has to be taken back."""
        return self.action in ONCE


class Reorder(Part, frozen=True):
    """Every `gap`-th packet is late, with a chance of `reorder` percent; without a gap, any packet."""

    reorder: str
    gap: int = 0
    correlation: str = "0"


class Delay(Part, frozen=True):
    """How late packets are."""

    latency: str
    jitter: str = "0ms"
    correlation: str = "0"
    reorder: Reorder | None = None


class Loss(Part, frozen=True):
    """Packets that are lost, percent."""

    loss: str
    correlation: str = "0"


class Duplicate(Part, frozen=True):
    """Packets that arrive twice, percent."""

    duplicate: str
    correlation: str = "0"


class Corrupt(Part, frozen=True):
    """Packets with a changed bit, percent."""

    corrupt: str
    correlation: str = "0"


class Bandwidth(Part, frozen=True):
    """A token bucket: `rate` as `pairsim_chaos.spec.quantities.bits_per_second` reads it, the others in bytes."""

    rate: str
    limit: int
    buffer: int
    peakrate: int | None = None
    minburst: int | None = None


class NetworkFault(Timed, frozen=True, kw_only=True):
    """`NetworkChaos`: what goes from its pods to those of `target` (`to`), the other way (`from`), or both."""

    action: NetworkAction
    direction: Direction = "to"
    target: Target | None = None
    external_targets: tuple[str, ...] = ()
    device: str = ""
    target_device: str = ""
    delay: Delay | None = None
    loss: Loss | None = None
    duplicate: Duplicate | None = None
    corrupt: Corrupt | None = None
    bandwidth: Bandwidth | None = None


class Cpu(Part, frozen=True):
    """Workers, each busy for `load` percent of the time."""

    workers: int
    load: int = 100
    options: tuple[str, ...] = ()


class Memory(Part, frozen=True):
    """Workers that together take `size`: a number of bytes or a share of the node's memory (`spec.quantities`)."""

    workers: int
    size: str = ""
    oom_score_adj: int = 0
    options: tuple[str, ...] = ()


class Stressors(Part, frozen=True):
    """What is made scarce."""

    cpu: Cpu | None = None
    memory: Memory | None = None


class StressFault(Timed, frozen=True, kw_only=True):
    """`StressChaos`."""

    stressors: Stressors = Stressors()
    stressng_stressors: str = ""


class TimeFault(Timed, frozen=True, kw_only=True):
    """`TimeChaos`."""

    time_offset: str
    clock_ids: tuple[str, ...] = ("CLOCK_REALTIME",)

    @property
    def offset(self) -> float:
        """In seconds."""
        return seconds(self.time_offset) or 0.0


class IOFault(Timed, frozen=True, kw_only=True):
    """`IOChaos`; no methods means all."""

    action: Literal["latency", "fault", "attrOverride", "mistake"]
    volume_path: str
    path: str = ""
    methods: tuple[str, ...] = ()
    percent: int = 100
    delay: str = ""
    errno: int = 0


Fault: TypeAlias = PodFault | NetworkFault | StressFault | TimeFault | IOFault
