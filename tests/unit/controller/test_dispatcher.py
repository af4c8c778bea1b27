"""A failing request is reported while it is repeated, and forgotten afterwards."""

from __future__ import annotations

import time

from pairsim.client import ProcessClient
from pairsim_controller.plan.view import Release
from pairsim_controller.reconcile.dispatcher import Dispatcher
from tests.unit.controller.local_worlds import until


async def test_a_repeated_failure_is_reported_and_finally_forgotten() -> None:
    async with ProcessClient("http://127.0.0.1:1", token="t", deadline=0.2) as nobody:
        dispatcher = Dispatcher(lambda _name: nobody)

        def failures(now: float) -> list[str]:
            dispatcher.dispatch(Release("sim-1", "west"))
            return [report.message for report in dispatcher.failing("west", now)]

        await until(lambda: failures(time.monotonic()))
        (sentence,) = failures(time.monotonic())
        assert sentence.startswith("the request 'release' to sim-1 failed: no connection")
        await dispatcher.close()
        assert list(dispatcher.failing("west", time.monotonic() + 3600)) == []
        assert list(dispatcher.failing("west", time.monotonic())) == [], "forgotten without a repetition"
