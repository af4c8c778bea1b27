"""What fails is told while it is ordered, and forgotten after."""

from __future__ import annotations

import time

from pairsim.client import ProcessClient
from pairsim_controller.plan.view import Release
from pairsim_controller.reconcile.dispatcher import Orders
from tests.unit.controller.worlds import until


async def test_an_order_that_fails_again_and_again_is_told_and_in_the_end_forgotten() -> None:
    async with ProcessClient("http://127.0.0.1:1", token="t", deadline=0.2) as nobody:
        orders = Orders(lambda _name: nobody)

        def told(now: float) -> list[str]:
            orders.give(Release("sim-1", "west"))
            return [say.sentence for say in orders.in_vain(now)]

        await until(lambda: told(time.monotonic()))
        (sentence,) = told(time.monotonic())
        assert sentence.startswith("sim-1 does not do what it is told (release): no connection")
        await orders.close()
        assert list(orders.in_vain(time.monotonic() + 3600)) == []
        assert list(orders.in_vain(time.monotonic())) == [], "an order that nobody gives any more is not kept"
