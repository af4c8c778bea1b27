"""How long a workflow takes at least, so that one that cannot end in the time that it is given is not begun. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pairsim_chaos.experiment.experiment import StatusCheck, Template, Workflow


def shortest(workflow: Workflow) -> float:
    """Seconds, when all checks are good at once. Its templates must not lead back to themselves."""
    known: dict[str, float] = {}
    todo = [workflow.entry]
    while todo:
        template = workflow.templates[todo[-1]]
        before = [child for child in template.children if child not in known]
        todo += before
        if not before:
            known[todo.pop()] = _shortest(template, [known[child] for child in template.children])
    return known[workflow.entry]


def _shortest(template: Template, children: Sequence[float]) -> float:
    """A fault in a workflow, even a kill, lasts until its template's deadline; so does a pause."""
    if template.kind == "Task" or isinstance(template.does, StatusCheck):
        return 0.0
    if template.kind in ("Serial", "Parallel"):
        needed = sum(children) if template.kind == "Serial" else max(children, default=0.0)
        return needed if template.deadline is None else min(needed, template.deadline)
    return template.deadline or 0.0
