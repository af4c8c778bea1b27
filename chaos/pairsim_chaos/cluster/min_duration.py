"""Computes the minimum duration of a workflow, which must fit into the given time; pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from pairsim_chaos.experiment.model import StatusCheck, Template, Workflow


def min_duration(workflow: Workflow) -> float:
    """Returns the minimum duration in seconds, assuming that all checks succeed at once.

    The templates must not lead back to themselves.
    """
    known: dict[str, float] = {}
    todo = [workflow.entry]
    while todo:
        template = workflow.templates[todo[-1]]
        unknown = [child for child in template.children if child not in known]
        todo += unknown
        if not unknown:
            known[todo.pop()] = _min_duration(template, [known[child] for child in template.children])
    return known[workflow.entry]


def _min_duration(template: Template, children: Sequence[float]) -> float:
    """Returns the minimum duration of a template; faults, kills included, and pauses last until its deadline."""
    if template.kind == "Task" or isinstance(template.job, StatusCheck):
        return 0.0
    if template.kind in ("Serial", "Parallel"):
        needed = sum(children) if template.kind == "Serial" else max(children, default=0.0)
        return needed if template.deadline is None else min(needed, template.deadline)
    return template.deadline or 0.0
