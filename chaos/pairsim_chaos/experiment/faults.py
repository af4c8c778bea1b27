"""The faults of Chaos Mesh as typed values, with the defaults of Chaos Mesh filled in.

Fields that pairsim does not use are left out here; a cluster receives the document exactly as it was written.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from pairsim_chaos.spec.quantities import parse_duration
from pairsim_chaos.spec.schema import INSTANT_ACTIONS, INSTANT_ENGINE_ACTIONS

Mode = Literal["one", "all", "fixed", "fixed-percent", "random-max-percent"]
Direction = Literal["to", "from", "both"]
NetworkAction = Literal["netem", "delay", "loss", "duplicate", "corrupt", "partition", "bandwidth"]


class ExperimentPart(msgspec.Struct, frozen=True, rename="camel"):
    """A mapping of an experiment file; the linter has already rejected fields that are not named here."""


class LabelExpression(ExperimentPart, frozen=True):
    """A requirement on one label."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Returns whether the labels meet the requirement; as in Kubernetes, NotIn holds where the label is missing."""
        if self.operator == "Exists":
            return self.key in labels
        if self.operator == "DoesNotExist":
            return self.key not in labels
        return (labels.get(self.key) in self.values) == (self.operator == "In")


class Selector(ExperimentPart, frozen=True):
    """The criteria that select pods; `pods` (names by namespace) disables all other criteria."""

    namespaces: tuple[str, ...] = ()
    label_selectors: dict[str, str] = {}
    expression_selectors: tuple[LabelExpression, ...] = ()
    annotation_selectors: dict[str, str] = {}
    field_selectors: dict[str, str] = {}
    nodes: tuple[str, ...] = ()
    node_selectors: dict[str, str] = {}
    pods: dict[str, tuple[str, ...]] = {}
    pod_phase_selectors: tuple[str, ...] = ()

    def matches_labels(self, labels: dict[str, str]) -> bool:
        """Returns whether the labels meet all criteria on labels; other criteria are not evaluated."""
        return all(labels.get(name) == value for name, value in self.label_selectors.items()) and all(
            expression.matches(labels) for expression in self.expression_selectors
        )

    def beyond_labels(self) -> tuple[str, ...]:
        """Returns the fields in use that need more than labels and namespaces; a local world cannot evaluate them."""
        others = {
            "annotationSelectors": self.annotation_selectors,
            "fieldSelectors": self.field_selectors,
            "nodes": self.nodes,
            "nodeSelectors": self.node_selectors,
            "pods": self.pods,
            "podPhaseSelectors": self.pod_phase_selectors,
        }
        return tuple(name for name, value in others.items() if value)


class PodSelection(ExperimentPart, frozen=True):
    """A choice of pods: a selector, and how many of the selected pods are taken."""

    selector: Selector
    mode: Mode
    value: str = ""

    def max_count(self, selected: int) -> int:
        """Returns how many of the selected pods are taken; with the mode random-max-percent, how many at most.

        Percentages are rounded up, as in Chaos Mesh (`pkg/selector/generic/mode.go`).
        """
        if self.mode == "one":
            return min(1, selected)
        if self.mode == "all":
            return selected
        value = int(self.value)
        return min(value, selected) if self.mode == "fixed" else -(-selected * value // 100)


class TimedFault(PodSelection, frozen=True):
    """The fields that all faults have.

    Attributes:
        duration: The duration as written; empty for instant faults, and where a template's deadline ends the fault.
        container_names: The containers of the pods; an empty tuple means the first container.
    """

    duration: str = ""
    container_names: tuple[str, ...] = ()

    @property
    def duration_seconds(self) -> float | None:
        """Returns the duration in seconds; None if the fault has no duration of its own."""
        return parse_duration(self.duration) if self.duration else None


class PodFault(TimedFault, frozen=True, kw_only=True):
    """`PodChaos`."""

    action: Literal["pod-kill", "pod-failure", "container-kill"]
    grace_period: int = 0

    @property
    def instant(self) -> bool:
        """Returns whether the fault is complete at once, so that it leaves nothing to remove."""
        return self.action in INSTANT_ACTIONS


class Reorder(ExperimentPart, frozen=True):
    """Delays only every `gap`-th packet, with a probability of `reorder` percent; without a gap, any packet."""

    reorder: str
    gap: int = 0
    correlation: str = "0"


class Delay(ExperimentPart, frozen=True):
    """The delay of packets."""

    latency: str
    jitter: str = "0ms"
    correlation: str = "0"
    reorder: Reorder | None = None


class Loss(ExperimentPart, frozen=True):
    """The percentage of packets that are lost."""

    loss: str
    correlation: str = "0"


class Duplicate(ExperimentPart, frozen=True):
    """The percentage of packets that arrive twice."""

    duplicate: str
    correlation: str = "0"


class Corrupt(ExperimentPart, frozen=True):
    """The percentage of packets that arrive with one changed bit."""

    corrupt: str
    correlation: str = "0"


class Bandwidth(ExperimentPart, frozen=True):
    """A token bucket: `rate` is read by `pairsim_chaos.spec.quantities.parse_rate`, all other fields are in bytes."""

    rate: str
    limit: int
    buffer: int
    peakrate: int | None = None
    minburst: int | None = None


class NetworkFault(TimedFault, frozen=True, kw_only=True):
    """`NetworkChaos`: affects packets from its pods to those of `target` (`to`), the other way (`from`), or both."""

    action: NetworkAction
    direction: Direction = "to"
    target: PodSelection | None = None
    external_targets: tuple[str, ...] = ()
    device: str = ""
    target_device: str = ""
    delay: Delay | None = None
    loss: Loss | None = None
    duplicate: Duplicate | None = None
    corrupt: Corrupt | None = None
    bandwidth: Bandwidth | None = None


class Cpu(ExperimentPart, frozen=True):
    """Workers that are each busy for `load` percent of the time."""

    workers: int
    load: int = 100
    options: tuple[str, ...] = ()


class Memory(ExperimentPart, frozen=True):
    """Workers that together take `size`: a number of bytes or a share of the node's memory (`spec.quantities`)."""

    workers: int
    size: str = ""
    oom_score_adj: int = 0
    options: tuple[str, ...] = ()


class Stressors(ExperimentPart, frozen=True):
    """The resources that are made scarce."""

    cpu: Cpu | None = None
    memory: Memory | None = None


class StressFault(TimedFault, frozen=True, kw_only=True):
    """`StressChaos`."""

    stressors: Stressors = Stressors()
    stressng_stressors: str = ""


class TimeFault(TimedFault, frozen=True, kw_only=True):
    """`TimeChaos`."""

    time_offset: str
    clock_ids: tuple[str, ...] = ("CLOCK_REALTIME",)

    @property
    def offset(self) -> float:
        """Returns the offset in seconds."""
        return parse_duration(self.time_offset) or 0.0


class IOFault(TimedFault, frozen=True, kw_only=True):
    """`IOChaos`; an empty `methods` means all methods."""

    action: Literal["latency", "fault", "attrOverride", "mistake"]
    volume_path: str
    path: str = ""
    methods: tuple[str, ...] = ()
    percent: int = 100
    delay: str = ""
    errno: int = 0


class EngineFault(TimedFault, frozen=True, kw_only=True):
    """`EngineChaos`, a fault of pairsim's own: the engine of a replica fails, and its node goes on.

    A `hang` stops the engine; it ends when the node has killed the engine, or after its duration. A `crash` ends the
    engine by SIGSEGV. A `raise` sends a command at which the simulator raises for the duration.
    """

    action: Literal["hang", "crash", "raise"]

    @property
    def instant(self) -> bool:
        """Returns whether the fault is complete at once, so that it leaves nothing to remove."""
        return self.action in INSTANT_ENGINE_ACTIONS


Fault: TypeAlias = PodFault | NetworkFault | StressFault | TimeFault | IOFault | EngineFault
