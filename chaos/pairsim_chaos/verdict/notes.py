"""Sentences that explain the figures of an experiment; pure functions.

An experiment that kills again and again, every few seconds, may kill the new copy of an area before it has the state,
or the last one. No acknowledged command is lost then, but commands wait until a copy is back. Such waits are what the
experiment makes, and not a defect of the world.
"""

from __future__ import annotations

from collections.abc import Iterable

from pairsim_chaos.experiment.faults import PodFault
from pairsim_chaos.experiment.model import Schedule, Spec, Workflow
from pairsim_chaos.probe.area_evidence import AreaFindings

_MIN_TAKEOVERS = 3
_RAPID_SECONDS = 10.0
"""Kills at a longer interval leave time for a new copy to get the state."""


def notes(spec: Spec, found: Iterable[AreaFindings]) -> tuple[str, ...]:
    """Returns a sentence for every area that an experiment with repeated kills took over every few seconds."""
    if not _kills_repeatedly(spec):
        return ()
    return tuple(filter(None, map(_rapid_takeovers, found)))


def _kills_repeatedly(spec: Spec) -> bool:
    if isinstance(spec, Schedule):
        return _kills(spec.job) if isinstance(spec.job, PodFault) else _kills_repeatedly(spec.job)
    if not isinstance(spec, Workflow):
        return False
    jobs = [template.job for template in spec.templates.values()]
    return sum(map(_kills, jobs)) > 1 or any(isinstance(job, Schedule) and _kills_repeatedly(job) for job in jobs)


def _kills(job: object) -> bool:
    return isinstance(job, PodFault) and job.instant


def _rapid_takeovers(found: AreaFindings) -> str:
    """Returns the sentence for an area; empty if it had few takeovers, or time between them."""
    count = len(found.takeovers)
    if count < _MIN_TAKEOVERS:
        return ""
    seconds = found.takeovers[-1][0].at - found.takeovers[0][0].at
    interval = seconds / (count - 1)
    if interval > _RAPID_SECONDS:
        return ""
    return (
        f"{found.area}: {count} takeovers in {seconds:.0f} s, one every {interval:.1f} s, because the experiment kills "
        "again and again. While both copies are gone, commands wait until one is back, which is expected here: the "
        f"longest wait was {found.longest_pause:.1f} s"
    )
