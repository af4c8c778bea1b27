"""A failing request is reported while it is repeated, and forgotten afterwards."""

from __future__ import annotations

import time

from pairsim.client.client import AreaClient
from pairsim_controller.plan.view import Release
from pairsim_controller.reconcile.dispatcher import Dispatcher
from tests.unit.controller.local_worlds import until


async def test_a_repeated_failure_is_reported_and_finally_forgotten() -> None:
    async with AreaClient(["http://127.0.0.1:1"], token="t", deadline=0.2) as nobody:
        orders = Dispatcher(lambda _name: nobody)

        def told(now: float) -> list[str]:
            orders.dispatch(Release("sim-1", "west"))
            return [say.message for say in orders.failing("west", now)]

        await until(lambda: told(time.monotonic()))
        (sentence,) = told(time.monotonic())
        assert sentence.startswith("sim-1 does not carry out its command (release): no connection")
        await orders.close()
        assert list(orders.failing("west", time.monotonic() + 3600)) == []
        assert list(orders.failing("west", time.monotonic())) == [], "an order that nobody gives any more is not kept"
