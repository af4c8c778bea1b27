"""The verdict as a status: 200 only for what was looked at a moment ago, and was right."""

from __future__ import annotations

import asyncio
from typing import cast

import aiohttp
import pytest

from pairsim.server.http.listener import serve_app
from pairsim_chaos.probe.probe import Probe
from pairsim_chaos.run.verdict_server import FRESH, Standing, VerdictServer
from pairsim_chaos.target import World
from pairsim_chaos.verdict.checks import checks
from tests.unit.chaos.verdict.test_judging import account, bad, findings

GOOD = checks([findings()], "")


class Nowhere:
    """A world that does not answer is all that a standing verdict needs here."""


class Broken:
    """A probe that sees at once what does not hold."""

    sentence = ""

    def broken(self) -> str:
        return self.sentence


async def test_a_status_check_is_told_by_the_status_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    server, probe = VerdictServer(cast("World", Nowhere())), Broken()
    monkeypatch.setattr(server, "_run", idle)
    server._probe = cast("Probe", probe)
    async with serve_app(server.app(), "127.0.0.1:0") as port, aiohttp.ClientSession() as http:

        async def told() -> tuple[int, str]:
            async with http.get(f"http://127.0.0.1:{port}/verdict") as answer:
                return answer.status, (await answer.json())["reason"]

        assert await told() == (503, "nothing was compared yet")
        server._standing.compared(GOOD, asyncio.get_running_loop().time())
        assert await told() == (200, "")
        probe.sentence = "west: no command was acknowledged for 11 s"
        assert await told() == (503, probe.sentence), "without another comparison"
        probe.sentence = ""
        assert await told() == (200, "")


@pytest.mark.parametrize(
    "found",
    [
        [],
        [findings(account=None, unread="nobody answers")],
        [findings(account=account(acknowledged=0))],
        [findings(), findings(area="east", digests=0)],
        [findings(ticks=0)],
        [findings(statuses=0)],
        [findings(labelled=0)],
    ],
)
def test_what_was_not_shown_does_not_hold(found: list[object]) -> None:
    standing = Standing()
    standing.compared(GOOD, 1.0)
    standing.compared(checks(found, ""), 2.0)  # type: ignore[arg-type]
    assert standing.reason("", 2.0)
    standing.compared(GOOD, 3.0)
    assert standing.reason("", 3.0) == ""


def test_an_old_comparison_shows_nothing_any_more() -> None:
    standing = Standing()
    standing.compared(GOOD, 100.0)
    assert standing.reason("", 100.0 + FRESH) == ""
    assert standing.reason("", 101.0 + FRESH) == f"nothing was compared for {FRESH + 1:.0f} s"


def test_a_violation_stays_and_the_rest_passes() -> None:
    standing = Standing()
    assert standing.reason("", 0.0) == "nothing was compared yet"
    standing.compared(GOOD, 1.0)
    assert standing.reason("west: nothing for 11 s", 1.0) == "west: nothing for 11 s"
    standing.unknown("nobody answers")
    assert standing.reason("", 1.0) == "nobody answers"
    standing.compared(GOOD, 2.0)
    assert standing.reason("", 2.0) == ""
    standing.compared(checks([findings(undone=bad("tick 5 was undone"))], ""), 3.0)
    standing.compared(GOOD, 4.0)
    assert standing.reason("", 4.0) == "no tick is undone or changed: west: tick 5 was undone"
    standing.unknown("nobody answers")
    assert "tick 5 was undone" in standing.reason("west: nothing for 11 s", 99.0)


async def idle() -> None:
    """Probes nothing."""
