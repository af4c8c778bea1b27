"""What a seed makes of faults."""

from __future__ import annotations

import random
from pathlib import Path

from pairsim_chaos.experiment.experiment import Workflow, load_experiments
from pairsim_chaos.experiment.faults import PodFault
from pairsim_chaos.run.random_plan import faults, plan

FILES = Path(__file__).parents[3] / "chaos" / "experiments"
KNOWN = faults([each for path in sorted(FILES.glob("*.yaml")) for each in load_experiments(path.read_text())])


def test_workflows_and_schedules_are_passed_over() -> None:
    names = {name for name, _ in KNOWN}
    assert "kill-active" in names
    assert not names & {"game-day", "schedule-kill-active"}


def test_an_experiment_of_any_name_is_no_part_of_itself() -> None:
    named = [(name, KNOWN[0][1]) for name in ("soak", "entry", "all")]
    for number in range(20):
        spec = plan(random.Random(number), named, number).spec
        assert isinstance(spec, Workflow)
        assert set(spec.templates[spec.entry].children) == {name for name, _ in named} & spec.templates.keys()


def test_a_seed_makes_the_same_experiments_again() -> None:
    first, second = ([plan(rng, KNOWN, n).name for n in range(50)] for rng in (random.Random(5), random.Random(5)))
    assert first == second
    assert len(set(first)) == 50


def test_two_faults_at_once_never_take_data_along() -> None:
    rng, pairs = random.Random(1), 0
    for number in range(300):
        spec = plan(rng, KNOWN, number).spec
        assert isinstance(spec, Workflow)
        made = [template.does for template in spec.templates.values() if template.does is not None]
        pairs += len(made) == 2
        assert len({template.name for template in spec.templates.values() if template.does}) == len(made)
        assert spec.entry not in spec.templates[spec.entry].children
        assert len(made) == 1 or not any(isinstance(each, PodFault) and each.action == "pod-kill" for each in made)
        assert all(1.0 <= (template.deadline or 1.0) <= 8.0 for template in spec.templates.values())
    assert 30 < pairs < 200
