"""The progress of a workflow or a schedule, from repeated polls of its objects; sans-I/O.

Chaos Mesh does not report for a workflow or a schedule whether its faults were injected, and deletes each fault when
its template ends. Everything that was seen once is therefore remembered. Owner references show which object created
which: a workflow owns its nodes, a node owns its children and its fault or schedule, and a schedule owns its faults or
workflows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pairsim_chaos.cluster.objects import ChaosObject, WorkflowNode, owner_of
from pairsim_chaos.experiment.faults import Fault
from pairsim_chaos.experiment.model import Schedule, Workflow, kind_of
from pairsim_chaos.spec.schema import plural

NODES = "workflownodes"


def collections(spec: Workflow | Schedule) -> tuple[str, ...]:
    """Returns the collections of all objects that a workflow or schedule creates; `NODES` for a workflow's nodes."""
    return tuple(dict.fromkeys(_collections(spec)))


def _collections(spec: Workflow | Schedule) -> Iterator[str]:
    if isinstance(spec, Schedule):
        if isinstance(spec.job, Workflow):
            yield plural("Workflow")
            yield from _collections(spec.job)
        else:
            yield plural(kind_of(spec.job))
        return
    yield NODES
    for template in spec.templates.values():
        if isinstance(template.job, Schedule):
            yield plural("Schedule")
            yield from _collections(template.job)
        elif isinstance(template.job, Fault):
            yield plural(kind_of(template.job))


class CompositeProgress:
    """The progress of one workflow or schedule.

    Attributes:
        aborted: Why it was aborted; empty if it was not.
    """

    def __init__(self, spec: Workflow | Schedule) -> None:
        """Creates the progress before the first poll."""
        self._spec = spec
        self._owners: dict[str, str] = {}
        self._nodes: dict[str, str] = {}
        self._created: dict[str, ChaosObject] = {}
        self.aborted = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """Returns the pods of all faults that were injected so far."""
        injected = (fault for fault in self._created.values() if fault.injected)
        return tuple(dict.fromkeys(name for fault in injected for name in fault.targets))

    @property
    def created(self) -> set[str]:
        """Returns the uids of its faults, and of the schedules and workflows between it and them."""
        return set(self._created)

    def update(self, root: ChaosObject, nodes: Sequence[WorkflowNode], objects: Sequence[ChaosObject]) -> None:
        """Takes the result of a poll.

        Args:
            root: The workflow or schedule itself.
            nodes: All workflow nodes of the namespace; most may belong to other workflows.
            objects: All objects of the kinds that it creates; most may belong to other experiments.
        """
        self._owners |= {node.metadata.uid: owner_of(node.metadata) for node in nodes}
        self._owners |= {each.metadata.uid: owner_of(each.metadata) for each in objects}
        nodes = [node for node in nodes if self._is_below(node.metadata.uid, root.metadata.uid)]
        objects = [each for each in objects if self._is_below(each.metadata.uid, root.metadata.uid)]
        self._nodes |= {node.metadata.uid: node.spec.template_name for node in nodes}
        bad = [node.spec.template_name for node in nodes if node.aborted and node.spec.type == "StatusCheck"]
        if bad:
            self.aborted = f"{', '.join(dict.fromkeys(bad))}: the check failed and aborted the workflow"
        elif root.aborted or any(each.aborted for each in objects) or any(node.aborted for node in nodes):
            self.aborted = "another client aborted the workflow by its annotation"
        for each in objects:
            before = self._created.get(each.metadata.uid)
            if before is None or not before.injected:
                self._created[each.metadata.uid] = each

    def missing_injections(self) -> str:
        """Returns which faults were not injected, and why; empty if all were. Call it after the end."""
        if self.aborted:
            return self.aborted
        if isinstance(self._spec, Schedule):
            complaints = _joined(fault.complaint for fault in self._created.values() if not fault.injected)
            if complaints or any(fault.injected for fault in self._created.values()):
                return complaints  # a fault that was created a moment ago has no complaint yet
            reasons = _joined(fault.not_injected_reason for fault in self._created.values())
            return reasons or "the time ended before any fault was injected"
        certain, begun = _certain(self._spec), set(self._nodes.values())
        names = (name for name in _with_faults(self._spec) if name in certain or name in begun)
        missing = ((name, self._missing_in(name)) for name in names)
        named = "; ".join(f"{name}: {reason}" for name, reason in missing if reason)
        if named or not _with_faults(self._spec) or any(fault.injected for fault in self._created.values()):
            return named
        return "no fault of the workflow was injected, because its tasks chose other branches"

    def _missing_in(self, template: str) -> str:
        """Returns why a fault of a template was not injected in one of its runs; empty if it always was."""
        nodes = [uid for uid, name in self._nodes.items() if name == template]
        if not nodes:
            return "the time ended before the fault was injected"
        for node in nodes:
            faults = [fault for uid, fault in self._created.items() if self._is_below(uid, node)]
            if not any(fault.injected for fault in faults):
                return _joined(fault.not_injected_reason for fault in faults) or "the fault was not injected"
        return ""

    def _is_below(self, uid: str, root: str) -> bool:
        """Returns whether one object was created by another, directly or through further owners."""
        trail: set[str] = set()
        while uid not in {"", root, *trail}:
            trail.add(uid)
            uid = self._owners.get(uid, "")
        return uid == root


def _joined(sentences: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, sentences)))


def _with_faults(workflow: Workflow) -> list[str]:
    """Returns the templates that inject faults."""
    return [each.name for each in workflow.templates.values() if isinstance(each.job, Fault | Schedule)]


def _certain(workflow: Workflow) -> set[str]:
    """Returns the templates that run in any case; branches of a `Task` may be skipped."""
    reached, todo = {workflow.entry}, [workflow.entry]
    while todo:
        for child in workflow.templates[todo.pop()].children:
            if child not in reached:
                reached.add(child)
                todo.append(child)
    return reached
