"""What came of the faults that a workflow or a schedule makes, look by look; sans-I/O.

Chaos Mesh tells of neither whether its faults were injected, and takes each away when its template ends: so what was
seen once is kept. Who made what is told by owners: a workflow its nodes, a node its children, its fault or its
schedule, a schedule its faults or its workflows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pairsim_chaos.cluster.objects import ChaosObject, NodeObject
from pairsim_chaos.experiment.experiment import Schedule, Workflow, kind_of
from pairsim_chaos.experiment.faults import Fault
from pairsim_chaos.spec.schema import plural

NODES = "workflownodes"


def collections(spec: Workflow | Schedule) -> tuple[str, ...]:
    """In which all that it makes is found; a workflow's nodes in `NODES`."""
    return tuple(dict.fromkeys(_collections(spec)))


def _collections(spec: Workflow | Schedule) -> Iterator[str]:
    if isinstance(spec, Schedule):
        if isinstance(spec.runs, Workflow):
            yield plural("Workflow")
            yield from _collections(spec.runs)
        else:
            yield plural(kind_of(spec.runs))
        return
    yield NODES
    for template in spec.templates.values():
        if isinstance(template.does, Schedule):
            yield plural("Schedule")
            yield from _collections(template.does)
        elif isinstance(template.does, Fault):
            yield plural(kind_of(template.does))


class Progress:
    """Of one workflow or schedule.

    Attributes:
        aborted: Why it was ended before its time; empty if it was not.
    """

    def __init__(self, spec: Workflow | Schedule) -> None:
        """Nothing was seen yet."""
        self._spec = spec
        self._owners: dict[str, str] = {}
        self._nodes: dict[str, str] = {}
        self._made: dict[str, ChaosObject] = {}
        self.aborted = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """Of all faults that were injected so far."""
        injected = (fault for fault in self._made.values() if fault.injected)
        return tuple(dict.fromkeys(name for fault in injected for name in fault.targets))

    @property
    def made(self) -> set[str]:
        """The uids of its faults, and of the schedules and workflows between it and them."""
        return set(self._made)

    def saw(self, root: ChaosObject, nodes: Sequence[NodeObject], made: Sequence[ChaosObject]) -> None:
        """One look: at it, and at all nodes and objects of its namespace, of which most may be others'."""
        self._owners |= {node.metadata.uid: node.metadata.owner for node in nodes}
        self._owners |= {each.metadata.uid: each.metadata.owner for each in made}
        nodes = [node for node in nodes if self._below(node.metadata.uid, root.metadata.uid)]
        made = [each for each in made if self._below(each.metadata.uid, root.metadata.uid)]
        self._nodes |= {node.metadata.uid: node.spec.template_name for node in nodes}
        bad = [node.spec.template_name for node in nodes if node.aborted and node.spec.type == "StatusCheck"]
        if bad:
            self.aborted = f"{', '.join(dict.fromkeys(bad))}: the check was bad, so it was aborted"
        elif root.aborted or any(each.aborted for each in made) or any(node.aborted for node in nodes):
            self.aborted = "somebody aborted it by its annotation"
        for each in made:
            before = self._made.get(each.metadata.uid)
            if before is None or not before.injected:
                self._made[each.metadata.uid] = each

    def unshown(self) -> str:
        """Why it has not made what is written, now that it is over; empty if it has."""
        if self.aborted:
            return self.aborted
        if isinstance(self._spec, Schedule):
            told = _joined(fault.complaint for fault in self._made.values() if not fault.injected)
            if told or any(fault.injected for fault in self._made.values()):
                return told  # one that was begun a moment ago has nothing to say for itself
            wanting = _joined(fault.wanting for fault in self._made.values())
            return wanting or "its time was over before any of its faults was made"
        reasons = ((name, self._wanting_of(name)) for name in _certain(self._spec))
        return "; ".join(f"{name}: {reason}" for name, reason in reasons if reason)

    def _wanting_of(self, template: str) -> str:
        """What is wanting of a template's faults, each time that it ran."""
        nodes = [uid for uid, name in self._nodes.items() if name == template]
        if not nodes:
            return "the time was over before it was made"
        for node in nodes:
            faults = [fault for uid, fault in self._made.items() if self._below(uid, node)]
            if not any(fault.injected for fault in faults):
                return _joined(fault.wanting for fault in faults) or "it was not injected"
        return ""

    def _below(self, uid: str, root: str) -> bool:
        """Whether one object was made by another, over however many between them."""
        trail: set[str] = set()
        while uid not in {"", root, *trail}:
            trail.add(uid)
            uid = self._owners.get(uid, "")
        return uid == root


def _joined(sentences: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, sentences)))


def _certain(workflow: Workflow) -> list[str]:
    """Its templates that make faults and run whatever happens; branches of a `Task` may not."""
    reached, todo = {workflow.entry}, [workflow.entry]
    while todo:
        for child in workflow.templates[todo.pop()].children:
            if child not in reached:
                reached.add(child)
                todo.append(child)
    templates = workflow.templates.values()
    return [each.name for each in templates if each.name in reached and isinstance(each.does, Fault | Schedule)]
