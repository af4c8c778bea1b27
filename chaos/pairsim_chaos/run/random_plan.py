"""Experiments by chance: what a seed makes of the faults that there are. Pure, so that a seed can be tried again.

Two faults at once are made only if neither takes a process's data along: a pair bears the loss of one copy, not of two.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from pairsim_chaos.experiment.experiment import Experiment, Template, Workflow
from pairsim_chaos.experiment.faults import Fault, IOFault, PodFault, StressFault

_SHORTEST, _LONGEST = 1.0, 8.0
_ENTRY = "/"
"""No experiment's name, which the API server would refuse."""
_PAIRS = 0.5


def faults(experiments: Sequence[Experiment]) -> list[tuple[str, Fault]]:
    """Those that one document makes alone, by its name; workflows, schedules and checks are passed over."""
    return [(each.name, each.spec) for each in experiments if isinstance(each.spec, Fault)]


def plan(rng: random.Random, known: Sequence[tuple[str, Fault]], number: int) -> Experiment:
    """The next experiment: one fault for some seconds, or two of different kinds that overlap."""
    chosen = [rng.choice(known)]
    others = [item for item in known if _bearable(chosen[0], item)]
    if others and rng.random() < _PAIRS:
        chosen.append(rng.choice(others))
    templates: dict[str, Template] = {}
    for name, fault in chosen:
        deadline = round(rng.uniform(_SHORTEST, _LONGEST), 1)
        written = msgspec.structs.replace(fault, duration="")
        templates[name] = Template(name, type(fault).__name__, deadline, (), written, abort=False)
    children = tuple(templates)
    templates[_ENTRY] = Template(_ENTRY, "Parallel", None, children, None, abort=False)
    told = " and ".join(f"{each.name} for {each.deadline:g} s" for each in templates.values() if each.deadline)
    return Experiment(
        kind="Workflow", name=f"{number}: {told}", namespace="", spec=Workflow(_ENTRY, templates), document={}, line=0
    )


def _bearable(one: tuple[str, Fault], other: tuple[str, Fault]) -> bool:
    """Whether two faults may be made at once: no data goes, and neither ends the process that the other one needs."""
    both = (one[1], other[1])
    ending = any(isinstance(fault, PodFault) for fault in both)
    return (
        one[0] != other[0]
        and not any(isinstance(fault, PodFault) and fault.action == "pod-kill" for fault in both)
        and not (ending and any(isinstance(fault, IOFault | StressFault) for fault in both))
    )
