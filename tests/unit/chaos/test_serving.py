"""The verdict as a status."""

from __future__ import annotations

from typing import cast

import aiohttp
import pytest

from chaos.scene import World
from chaos.serving import VerdictServer
from chaos.verdict.judging import checks
from pairsim.network.connections import listening
from tests.unit.chaos.verdict.test_judging import findings


class Nowhere:
    """A world that does not answer is all that a standing verdict needs here."""


@pytest.mark.parametrize(("broken", "status"), [("", 200), ("west: no command was acknowledged for 11 s", 503)])
async def test_a_status_check_is_told_by_the_status(broken: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    server = VerdictServer(world())
    monkeypatch.setattr(server, "_probe", idle)
    async with listening(server.app(), "127.0.0.1:0") as port, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{port}/verdict"
        async with http.get(url) as answer:
            assert answer.status == 503, "nothing was compared yet"
        server._standing.compared(checks([findings()], ""), broken)
        async with http.get(url) as answer:
            assert answer.status == status
            assert (await answer.json())["reason"] == broken


async def idle() -> None:
    """Probes nothing."""


def world() -> World:
    return cast("World", Nowhere())
