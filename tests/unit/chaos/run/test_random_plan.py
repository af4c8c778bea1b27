"""Random experiments from a seed."""

from __future__ import annotations

import random
from pathlib import Path

from pairsim_chaos.experiment.faults import EngineFault, PodFault
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.experiment.model import Workflow
from pairsim_chaos.run.random_plan import faults, plan

FILES = Path(__file__).parents[4] / "chaos" / "experiments"
KNOWN = faults([each for path in sorted(FILES.glob("*.yaml")) for each in load_experiments(path.read_text())])


def test_workflows_and_schedules_are_skipped() -> None:
    names = {name for name, _ in KNOWN}
    assert "kill-active" in names
    assert not names & {"game-day", "schedule-kill-active"}


def test_the_entry_never_collides_with_an_experiment() -> None:
    named = [(name, KNOWN[0][1]) for name in ("soak", "entry", "all")]
    for number in range(20):
        spec = plan(random.Random(number), named, number).spec
        assert isinstance(spec, Workflow)
        assert set(spec.templates[spec.entry].children) == {name for name, _ in named} & spec.templates.keys()


def test_a_seed_repeats_the_same_experiments() -> None:
    first, second = ([plan(rng, KNOWN, n).name for n in range(50)] for rng in (random.Random(5), random.Random(5)))
    assert first == second
    assert len(set(first)) == 50


def test_two_concurrent_faults_never_destroy_data() -> None:
    rng, pairs = random.Random(1), 0
    for number in range(300):
        spec = plan(rng, KNOWN, number).spec
        assert isinstance(spec, Workflow)
        made = [template.job for template in spec.templates.values() if template.job is not None]
        pairs += len(made) == 2
        assert len({template.name for template in spec.templates.values() if template.job}) == len(made)
        assert spec.entry not in spec.templates[spec.entry].children
        assert len(made) == 1 or not any(isinstance(each, PodFault) and each.action == "pod-kill" for each in made)
        ends = [each for each in made if isinstance(each, PodFault | EngineFault)]
        assert len(ends) < 2 or not any(isinstance(each, EngineFault) for each in ends), "the engine may have ended"
        assert all(1.0 <= (template.deadline or 1.0) <= 8.0 for template in spec.templates.values())
    assert 30 < pairs < 200
