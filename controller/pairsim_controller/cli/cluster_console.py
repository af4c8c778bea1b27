"""The console of a world in a cluster: served by the controller that works, to whoever may forward a port to it."""

from __future__ import annotations

import msgspec
from aiohttp import web

from pairsim.client.errors import ClientError
from pairsim.model.world_status import WorldPicture
from pairsim_controller.console.feed import Feed
from pairsim_controller.console.history import History
from pairsim_controller.console.loopback_guard import MAX_BODY, guard, order, problem
from pairsim_controller.console.page import add_page
from pairsim_controller.kube.manager import Candidate

_WAITS = "this controller waits for the Lease: forward a port to the one that holds it"
_SENTENCES = {404: "there is nothing; the console is at /"}


class _SwitchoverOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    area: str


class _Shown:
    """What the candidate works on."""

    can_kill = False

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate

    @property
    def note(self) -> str:
        return "" if self._candidate.cluster is not None else _WAITS

    def picture(self) -> WorldPicture:
        cluster = self._candidate.cluster
        return cluster.world_status() if cluster is not None else WorldPicture([], [])


def console_app(candidate: Candidate) -> web.Application:
    """The application; for loopback."""

    async def switchover(request: web.Request) -> web.Response:
        wanted = await order(request, _SwitchoverOrder)
        if isinstance(wanted, web.Response):
            return wanted
        cluster = candidate.cluster
        if cluster is None:
            return problem(409, _WAITS)
        active = cluster.active_client(wanted.area)
        if active is None:
            return problem(409, f"{wanted.area} has no active at the moment: try again")
        try:
            return web.json_response(body=msgspec.json.encode(await active.switchover()))
        except ClientError as error:
            return problem(409, str(error))

    hosts = frozenset({"127.0.0.1", "localhost"})
    app = web.Application(client_max_size=MAX_BODY, middlewares=[guard(hosts, "this controller", _SENTENCES)])
    feed = Feed(_Shown(candidate), History())
    add_page(app)
    app.cleanup_ctx.append(feed.running)
    app.router.add_get("/v1/console", feed.serve)
    app.router.add_post("/v1/switchover", switchover)
    return app
