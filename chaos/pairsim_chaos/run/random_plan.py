"""Plans random experiments from a list of faults and a random generator.

The functions are pure, so that the same seed gives the same experiments again. Two faults run at the same time only if
neither destroys the data of a process: a pair survives the loss of one copy, not of two.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from pairsim.wording import duration
from pairsim_chaos.experiment.faults import EngineFault, Fault, IOFault, PodFault, StressFault
from pairsim_chaos.experiment.model import Experiment, Template, Workflow

_MIN_SECONDS, _MAX_SECONDS = 1.0, 8.0
_ENTRY = "/"
"""The name of the entry template; the API server refuses it as the name of an experiment, so it never collides."""
_PAIR_PROBABILITY = 0.5


def faults(experiments: Sequence[Experiment]) -> list[tuple[str, Fault]]:
    """Returns the experiments of a single fault, each with its name; skips workflows, schedules and checks."""
    return [(each.name, each.spec) for each in experiments if isinstance(each.spec, Fault)]


def plan(rng: random.Random, known: Sequence[tuple[str, Fault]], number: int) -> Experiment:
    """Returns the next experiment: one fault for some seconds, or two different faults that overlap."""
    chosen = [rng.choice(known)]
    others = [item for item in known if _compatible(chosen[0], item)]
    if others and rng.random() < _PAIR_PROBABILITY:
        chosen.append(rng.choice(others))
    templates: dict[str, Template] = {}
    for name, fault in chosen:
        deadline = round(rng.uniform(_MIN_SECONDS, _MAX_SECONDS), 1)
        untimed = msgspec.structs.replace(fault, duration="")
        templates[name] = Template(name, type(fault).__name__, deadline, (), untimed, abort=False)
    children = tuple(templates)
    templates[_ENTRY] = Template(_ENTRY, "Parallel", None, children, None, abort=False)
    title = " and ".join(f"{each.name} for {duration(each.deadline)}" for each in templates.values() if each.deadline)
    return Experiment(
        kind="Workflow", name=f"{number}: {title}", namespace="", spec=Workflow(_ENTRY, templates), document={}, line=0
    )


def _compatible(one: tuple[str, Fault], other: tuple[str, Fault]) -> bool:
    """Returns whether two faults may run together: no data is lost, and neither ends a process the other one needs."""
    both = (one[1], other[1])
    ending = any(isinstance(fault, PodFault) for fault in both)
    return (
        one[0] != other[0]
        and not any(isinstance(fault, PodFault) and fault.action == "pod-kill" for fault in both)
        and not (ending and any(isinstance(fault, IOFault | StressFault) for fault in both))
        and not (any(isinstance(fault, EngineFault) for fault in both) and _ends_an_engine(*both))
    )


def _ends_an_engine(*faults: Fault) -> bool:
    """Returns whether one of the faults may end the engine that another one needs: with its node, or alone."""
    return sum(isinstance(fault, PodFault | EngineFault) for fault in faults) > 1
