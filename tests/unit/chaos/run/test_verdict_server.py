"""The status of the verdict: 200 only if all invariants were checked recently and held."""

from __future__ import annotations

import asyncio
from typing import cast

import aiohttp
import pytest

from pairsim.server.http.listener import serve_app
from pairsim_chaos.probe.probe import Probe
from pairsim_chaos.run.verdict_server import FRESH_SECONDS, LiveVerdict, VerdictServer
from pairsim_chaos.target import Target
from pairsim_chaos.verdict.checks import checks
from tests.unit.chaos.verdict.test_checks_and_report import bad, findings

GOOD = checks([findings()], "")


class UnreachableTarget:
    """A target that is never used, because the probe does not run."""


class FakeProbe:
    """A probe with a violation that the test sets."""

    sentence = ""

    def current_violation(self) -> str:
        return self.sentence


async def test_the_status_shows_the_current_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    server, probe = VerdictServer(cast("Target", UnreachableTarget())), FakeProbe()
    monkeypatch.setattr(server, "_run", idle)
    server._probe = cast("Probe", probe)
    async with serve_app(server.app(), "127.0.0.1:0") as port, aiohttp.ClientSession() as http:

        async def verdict() -> tuple[int, str]:
            async with http.get(f"http://127.0.0.1:{port}/verdict") as answer:
                return answer.status, (await answer.json())["reason"]

        assert await verdict() == (503, "nothing was compared yet")
        server._verdict.on_compared(GOOD, asyncio.get_running_loop().time())
        assert await verdict() == (200, "")
        probe.sentence = "west: no command was acknowledged for 11 s"
        assert await verdict() == (503, probe.sentence), "without another comparison"
        probe.sentence = ""
        assert await verdict() == (200, "")


@pytest.mark.parametrize(
    "found",
    [
        [],
        [findings(reconciliation=None, unread_reason="nobody answers")],
        [findings(acknowledged=0)],
        [findings(), findings(area="east", digests_compared=0)],
        [findings(frames=0)],
        [findings(active_reports=0)],
        [findings(label_observations=0)],
    ],
)
def test_a_check_without_evidence_does_not_hold(found: list[object]) -> None:
    verdict = LiveVerdict()
    verdict.on_compared(GOOD, 1.0)
    verdict.on_compared(checks(found, ""), 2.0)  # type: ignore[arg-type]
    assert verdict.reason("", 2.0)
    verdict.on_compared(GOOD, 3.0)
    assert verdict.reason("", 3.0) == ""


def test_an_old_comparison_proves_nothing() -> None:
    verdict = LiveVerdict()
    verdict.on_compared(GOOD, 100.0)
    assert verdict.reason("", 100.0 + FRESH_SECONDS) == ""
    assert verdict.reason("", 101.0 + FRESH_SECONDS) == f"nothing was compared for {FRESH_SECONDS + 1:.0f} s"


def test_a_violation_stays_and_other_reasons_pass() -> None:
    verdict = LiveVerdict()
    assert verdict.reason("", 0.0) == "nothing was compared yet"
    verdict.on_compared(GOOD, 1.0)
    assert verdict.reason("west: nothing for 11 s", 1.0) == "west: nothing for 11 s"
    verdict.on_unreachable("nobody answers")
    assert verdict.reason("", 1.0) == "nobody answers"
    verdict.on_compared(GOOD, 2.0)
    assert verdict.reason("", 2.0) == ""
    verdict.on_compared(checks([findings(undone_ticks=bad("tick 5 was undone"))], ""), 3.0)
    verdict.on_compared(GOOD, 4.0)
    assert verdict.reason("", 4.0) == "no tick is undone or changed: west: tick 5 was undone"
    verdict.on_unreachable("nobody answers")
    assert "tick 5 was undone" in verdict.reason("west: nothing for 11 s", 99.0)


async def idle() -> None:
    """Does nothing in place of the probe."""
