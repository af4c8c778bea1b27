"""The HTTP servers of every kind of process: their paths, and how they answer to good requests and to slips."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import aiohttp
import msgspec
from aiohttp import web

from tests.contract import examples, product
from tests.contract.shapes import shape

_HEADERS = (
    "Content-Type", "Content-Encoding", "Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy",
    "Cache-Control", "Allow", "Retry-After", "WWW-Authenticate", "Pairsim-Tick", "Pairsim-Entities",
)  # fmt: skip
_PAGE_PARTS = "/console/"
"""Only the page itself asks for what is below this path."""

TOKEN = {"Authorization": f"Bearer {product.TOKEN}"}
JSON = {"Content-Type": "application/json"}


class Ask(NamedTuple):
    """A request, and a word for what is special about it."""

    method: str
    path: str
    note: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    body: object = None

    @property
    def name(self) -> str:
        """The request in one line."""
        return f"{self.method} {self.path}" + f" ({self.note})" * bool(self.note)


class Case(NamedTuple):
    """An application in a state, and what is asked of it."""

    app: web.Application
    asks: Sequence[Ask]


def batch(**changes: object) -> dict[str, object]:
    """Returns the body of one command."""
    return {"commands": [{"id": "c1", "op": "set", "entity": 1, "components": {"mass": 1.0}, **changes}]}


def _control(*paths: tuple[str, str, object]) -> list[Ask]:
    """Returns the requests of paths that take a token: with it, without it, with another one, and without a body."""
    asks = []
    for method, path, body in paths:
        asks += [
            Ask(method, path, "with the token", TOKEN, body),
            Ask(method, path, "no token", {}, body),
            Ask(method, path, "another token", {"Authorization": "Bearer no"}, body),
            Ask(method, path, "a body that is no document", TOKEN, {"no": 1}),
            Ask(method, path, "another process is meant", TOKEN | {"Pairsim-Replica": "z"}, body),
        ]
    return asks


_ORDERS = (
    ("PUT", "/v1/assignment", examples.ASSIGNMENT),
    ("DELETE", "/v1/assignment?area=north", None),
    ("DELETE", "/v1/assignment", None),
    ("POST", "/v1/leave", None),
)
_SWITCHOVER = ("POST", "/v1/switchover", None)
_AUTHORITY = ("PUT", "/v1/authority", examples.AUTHORITY)
_WARM_ENGINE = ("PUT", "/v1/warm-engine", {"keep": True})
_PROBES = [Ask("GET", path) for path in ("/livez", "/readyz", "/active", "/passive")]
_READS = [
    Ask("GET", "/v1/status"),
    Ask("GET", "/v1/status", "its own area", {"Pairsim-Area": "north"}),
    Ask("GET", "/v1/status", "another area", {"Pairsim-Area": "west"}),
    Ask("POST", "/v1/commands", "", JSON, batch()),
    Ask("GET", "/v1/entities"),
    Ask("GET", "/v1/entities/1"),
    Ask("GET", "/v1/digests"),
    Ask("GET", "/v1/map"),
    Ask("GET", "/v1/locate/1"),
    Ask("GET", "/v1/backup?area=north", "with the token", TOKEN),
    Ask("GET", "/v1/session"),
    Ask("GET", "/v1/observe"),
    Ask("GET", "/v1/watch"),
]
_SLIPS = [
    Ask("GET", "/nothing"),
    Ask("GET", "/v1/commands"),
    Ask("POST", "/v1/status"),
    Ask("DELETE", "/v1/switchover"),
    Ask("POST", "/v1/assignment"),
    Ask("POST", "/v1/commands", "no JSON", JSON, b"{"),
    Ask("POST", "/v1/commands", "unknown key", JSON, {"command": []}),
    Ask("POST", "/v1/commands", "empty", JSON, {"commands": []}),
    Ask("POST", "/v1/commands", "unknown op", JSON, batch(op="nothing")),
    Ask("POST", "/v1/commands", "unknown component", JSON, batch(components={"nothing": 1.0})),
    Ask("POST", "/v1/commands", "one id twice", JSON, {"commands": batch()["commands"] * 2}),  # type: ignore[operator]
    Ask(
        "POST", "/v1/commands", "too many", JSON, {"commands": [batch(id=f"{n}")["commands"][0] for n in range(10_001)]}
    ),  # type: ignore[index]
    Ask("POST", "/v1/commands", "compressed", JSON | {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
    Ask("POST", "/v1/commands", "over 8 MiB", JSON, bytes(8 * 2**20 + 1)),
    Ask("POST", "/v1/commands", "another content type", {"Content-Type": "text/plain"}, batch()),
    Ask("POST", "/v1/commands", "a page of another origin", JSON | {"Origin": "http://evil.example"}, batch()),
    Ask("GET", "/v1/status", "another host name on loopback", {"Host": "evil.example"}),
    Ask("POST", "/v1/commands", "another area", JSON | {"Pairsim-Area": "west"}, batch()),
    Ask("GET", "/v1/entities?min=0,0&max=1,1&limit=1&after=0"),
    Ask("GET", "/v1/entities?lmit=1"),
    Ask("GET", "/v1/entities?limit=0"),
    Ask("GET", "/v1/entities?limit=10000"),
    Ask("GET", "/v1/entities?limit=10001"),
    Ask("GET", "/v1/entities?min=0,0"),
    Ask("GET", "/v1/entities/99"),
    Ask("GET", "/v1/entities/x"),
    Ask("GET", "/v1/locate/99"),
    Ask("GET", "/v1/locate/x"),
    Ask("GET", "/v1/digests?from=3&to=4"),
    Ask("GET", "/v1/digests?from=4&to=3"),
    Ask("GET", "/v1/digests?from=0&to=10000"),
    Ask("GET", "/v1/digests?since=3"),
    Ask("GET", "/v1/backup?area=north", "no token"),
    Ask("GET", "/v1/backup", "with the token", TOKEN),
    Ask("GET", "/v1/backup?area=west", "with the token", TOKEN),
    Ask("GET", "/metrics"),
]


def simulators() -> dict[str, Callable[[], Case]]:
    """Returns a simulator in each state that a client can meet."""
    whole = [*_READS, *_SLIPS, *_PROBES, *_control(*_ORDERS, _SWITCHOVER, _AUTHORITY, _WARM_ENGINE)]
    state = [
        *_READS,
        *_PROBES,
        Ask("POST", "/v1/switchover", "", TOKEN),
        Ask("PUT", "/v1/authority", "", TOKEN, examples.AUTHORITY),
    ]
    orders = [Ask(method, path, "", TOKEN, body) for method, path, body in _ORDERS]
    return {
        "active": lambda: Case(product.simulator(), whole),
        "passive without an active": lambda: Case(product.simulator("passive"), state),
        "joining": lambda: Case(product.simulator("joining"), state),
        "spare": lambda: Case(product.simulator("spare"), state),
        "active with a full inbox": lambda: Case(product.simulator(change=product.full), _READS[3:4]),
        "active that is interrupted": lambda: Case(product.simulator(change=product.interrupted), _READS[3:4]),
        "active that fails": lambda: Case(product.simulator(change=product.broken), _READS[:1]),
        "active that refuses orders": lambda: Case(product.simulator(change=product.refusing), [*orders, *state[-2:]]),
    }


def others() -> dict[str, Callable[[], Case]]:
    """Returns the servers that are no simulators, but for that of a local world."""
    foreign = [
        Ask("GET", "/livez", "another host name on loopback", {"Host": "evil.example"}),
        Ask("GET", "/livez", "a page of another origin", {"Origin": "http://evil.example"}),
    ]
    common = [Ask("GET", "/livez"), Ask("GET", "/readyz"), Ask("GET", "/metrics"), Ask("GET", "/nothing"), *foreign]
    controller = [*common, Ask("GET", "/v1/map"), Ask("GET", "/v1/locate/1")]
    order = {"area": "north"}
    return {
        "witness": lambda: Case(
            product.witness(),
            [
                Ask("GET", "/v1/status"), *common, *_control(*_ORDERS), Ask("GET", "/v1/watch"),
                Ask("POST", "/v1/commands"), Ask("POST", "/v1/status"), Ask("GET", "/active"),
                Ask("PUT", "/v1/assignment", "over", TOKEN, examples.ASSIGNMENT | {"generation": 7}),
            ],
        ),
        "controller": lambda: Case(product.controller(ready=True), controller),
        "controller that has not begun": lambda: Case(product.controller(ready=False), common),
        "console of a controller that waits": lambda: Case(
            product.controller_console(),
            [
                Ask("GET", "/"), Ask("GET", "/nothing"), Ask("GET", "/v1/console"), Ask("GET", "/v1/switchover"),
                Ask("GET", "/v1/map"), Ask("GET", "/v1/locate/1"),
                Ask("POST", "/v1/switchover", "", JSON, order), Ask("POST", "/v1/switchover", "no JSON", {}, b"x"),
                Ask("POST", "/v1/switchover", "unknown key", JSON, {"x": 1}),
                Ask("GET", "/", "another host name", {"Host": "evil.example"}),
                Ask("GET", "/v1/console", "another origin", {"Origin": "http://evil.example"}),
            ],
        ),
        "verdict": lambda: Case(
            product.verdict_service(), [Ask("GET", "/verdict"), Ask("GET", "/livez"), Ask("POST", "/verdict"), *foreign]
        ),
    }  # fmt: skip


_WORLD = [
    Ask("GET", "/"), Ask("GET", "/v1/world"), Ask("GET", "/v1/map"), Ask("GET", "/v1/processes"),
    Ask("GET", "/v1/locate/1"), Ask("GET", "/v1/locate/x"),
    Ask("GET", "/v1/targets"),
    Ask("GET", "/metrics"), Ask("GET", "/v1/console"), Ask("GET", "/nothing"), Ask("GET", "/v1/kill"),
    Ask("POST", "/v1/world"), Ask("GET", "/v1/world", "another host name", {"Host": "evil.example"}),
    *(
        Ask("POST", path, note, JSON, body)
        for path, bodies in {
            "/v1/switchover": {"good": {"area": "north"}, "unknown area": {"area": "x"}, "unknown key": {"x": 1}},
            "/v1/kill": {
                "good": {"area": "north", "role": "passive"}, "unknown role": {"area": "north", "role": "x"},
                "unknown area": {"area": "x"}, "unknown key": {"x": 1}, "no JSON": b"{", "too large": bytes(5000),
                "without an engine": {"area": "north", "engine": True},
            },
            "/v1/processes/end": {
                "good": {"process": "a", "grace": 1, "away": 1, "fresh": True}, "unknown process": {"process": "x"},
                "negative": {"process": "a", "grace": -1}, "unknown key": {"x": 1},
            },
            "/v1/processes/signal-engine": {
                "without an engine": {"process": "a", "signal": "SIGSTOP"},
                "unknown process": {"process": "x", "signal": "SIGKILL"},
                "another signal": {"process": "a", "signal": "SIGTERM"},
            },
            "/v1/processes/start": {"good": {"process": "a"}, "unknown process": {"process": "x"}},
        }.items()
        for note, body in bodies.items()
    ),
    Ask("POST", "/v1/kill", "another content type", {"Content-Type": "text/plain"}, b"{}"),
]  # fmt: skip


async def routes(folder: Path) -> dict[str, list[str]]:
    """Returns the methods and paths that each kind of server has."""
    apps = {
        "simulator": product.simulator(),
        "witness": product.witness(),
        "controller": product.controller(ready=True),
        "console of the controller": product.controller_console(),
        "verdict": product.verdict_service(),
    }
    async with product.local_world(folder) as made:
        apps["pairsim up"] = product.local_service(made.world)
    return {
        name: sorted(
            f"{route.method} {route.resource.canonical}"
            for route in app.router.routes()
            if route.resource and not route.resource.canonical.startswith(_PAGE_PARTS)
        )
        for name, app in apps.items()
    }


async def answers(folder: Path) -> dict[str, dict[str, object]]:
    """Returns how each server answers."""
    found = {name: await _answers(make()) for name, make in (simulators() | others()).items()}
    async with product.local_world(folder) as made:
        await made.known()
        await product.until(lambda: made.world.maps.planes)
        found["pairsim up"] = await _answers(Case(product.local_service(made.world), _WORLD))
    return found


async def _answers(case: Case) -> dict[str, object]:
    async with (
        product.served(case.app) as url,
        aiohttp.ClientSession(url, auto_decompress=False, timeout=aiohttp.ClientTimeout(10)) as client,
    ):
        return {ask.name: await _answer(client, ask) for ask in case.asks}


async def _answer(client: aiohttp.ClientSession, ask: Ask) -> dict[str, object]:
    plain = ask.body is None or isinstance(ask.body, bytes)
    body = ask.body if plain else msgspec.json.encode(ask.body)
    body = io.BytesIO(body) if isinstance(body, bytes) else None
    async with client.request(ask.method, ask.path, headers=ask.headers, data=body) as answer:
        data = await answer.read()
        described: dict[str, object] = {
            "status": answer.status,
            "headers": {name: answer.headers[name] for name in _HEADERS if name in answer.headers},
        }
        if answer.content_type == "application/json":
            described["keys"] = shape(msgspec.json.decode(data))
        return described
