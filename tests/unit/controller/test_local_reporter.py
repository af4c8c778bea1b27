"""A local world tells a problem once, whether the redundancy of its area depends on it or not."""

from __future__ import annotations

import pytest

from pairsim_controller.local.adapters import LocalReporter
from pairsim_controller.plan.view import Report
from pairsim_controller.reconcile.warning_debouncer import WarningDebouncer
from pairsim_controller.story.entry import plain_entry
from pairsim_controller.story.history import History

CAUSE = "sim-1 tries to start its engine; this failed: no module named growth"


@pytest.mark.parametrize(
    ("kinds", "told"),
    [(("lost",), 0), (("redundant", "lost"), 0), (("lost", "restored"), 1), (("redundant",), 1), ((), 1)],
)
def test_a_problem_is_not_told_again_that_the_loss_of_redundancy_has_as_its_cause(
    kinds: tuple[str, ...], told: int
) -> None:
    history = History(clock=lambda: 0.0)
    reporter = LocalReporter(history, lambda _name: "")
    reporter.warnings = WarningDebouncer(0.0)
    for kind in kinds:
        sentence = f"not redundant for 1 s: {CAUSE}" if kind == "lost" else "redundant"
        history.extend([plain_entry(kind, "west", sentence, 0.0)])  # type: ignore[arg-type]
    reporter.publish("west", [Report("west", CAUSE, reason="Restarting")], 10.0)
    for now in (10.0, 12.0, 14.0):
        reporter.announce_warnings(now)
    assert [entry.sentence for entry in history.entries].count(CAUSE) == told
