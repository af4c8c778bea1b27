"""Which requests a server admits: by the host name that they ask for, and by the origin of the page that sends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from pairsim.server.http.listener import serve_app
from pairsim.server.http.origins import AccessRules, is_loopback, parse_origin
from pairsim.server.witness_app import witness_app
from tests.unit.server.fakes import TOKEN, FakeReplica, FakeWitness
from tests.unit.server.http_servers import api_of

LOOPBACK = AccessRules.of_listener("127.0.0.1:8081", known=("node7.lan:8081", ""), origins=["https://game.example.com"])
CLUSTER = AccessRules.of_listener("0.0.0.0:8080", origins=["https://game.example.com"])


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8081", "localhost", "LOCALHOST:9", "[::1]:8081", "127.0.1.1", "a.localhost:1", "node7.lan:8081",
             "game.example.com", None]
)  # fmt: skip
def test_a_loopback_server_answers_to_the_names_that_it_is_known_by(host: str | None) -> None:
    assert not LOOPBACK.refusal(host, None)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "", "localhost:1:2", "10.0.0.1:8081",
             "localhost.evil.example", "evil.example@127.0.0.1", "[::1].evil.example", "0.0.0.0:8081", "127.0.0.1:x"]
)  # fmt: skip
def test_a_loopback_server_refuses_other_names(host: str) -> None:
    assert "does not answer as" in LOOPBACK.refusal(host, None)
    # A page whose own name was made to point at 127.0.0.1 has the origin that it asks.
    assert LOOPBACK.refusal(host, f"http://{host}")


@pytest.mark.parametrize(
    "host", ["10.1.2.3:8080", "west.game.svc.cluster.local", "sim-1:8080", "localhost:18080", None]
)
def test_a_server_in_a_network_answers_to_every_name(host: str | None) -> None:
    assert not CLUSTER.refusal(host, None)


@pytest.mark.parametrize("rules", [LOOPBACK, CLUSTER])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:8080", "http://127.0.0.1:80810", "file://", "",
               "http://game.example.com", "https://game.example.com.evil.example", "https://game.example.com:444",
               "http://127.0.0.1:8081.evil.example", "127.0.0.1:8081", "http://evil127.0.0.1:8081"]
)  # fmt: skip
def test_pages_of_other_origins_are_refused(rules: AccessRules, origin: str) -> None:
    assert "may not use this server" in rules.refusal("127.0.0.1:8081", origin)


@pytest.mark.parametrize("rules", [LOOPBACK, CLUSTER])
@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("localhost:9000", "http://localhost:9000"),
        ("127.0.0.1:8081", "https://game.example.com"),
        ("game.example.com", "https://game.example.com"),
        ("game.example.com:443", "https://game.example.com"),
        ("LOCALHOST", "http://localhost"),
    ],
)
def test_its_own_pages_and_allowed_origins_are_admitted(rules: AccessRules, host: str, origin: str) -> None:
    assert not rules.refusal(host, origin)


def test_a_page_is_refused_if_nothing_says_which_server_it_asks() -> None:
    assert CLUSTER.refusal(None, "http://10.1.2.3:8080")


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Game.Example.com/", "https://game.example.com"),
        (" http://localhost:3000", "http://localhost:3000"),
        ("https://game.example.com:443", "https://game.example.com"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_an_origin_is_written_as_browsers_send_it(text: str, origin: str) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text", ["*", "null", "game.example.com", "https://game.example.com/page", "file://", "https://"]
)
def test_other_texts_are_not_origins(text: str) -> None:
    with pytest.raises(ValueError, match="is not an origin: write the scheme"):
        parse_origin(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::", False), ("localhost", True), ("10.0.0.1", False),
     ("sim-1", False), ("0.0.0.0", False), ("", False)]
)  # fmt: skip
def test_loopback_is_the_machine_itself(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


@pytest.mark.parametrize(
    ("address", "strict"), [("[::1]:8081", True), ("localhost:0", True), ("[::]:8081", False), ("10.0.0.7:8081", False)]
)  # fmt: skip
def test_a_listener_on_loopback_checks_host_names(address: str, strict: bool) -> None:
    rules = AccessRules.of_listener(address)
    assert bool(rules.refusal("evil.example", None)) == strict
    assert not rules.refusal("localhost:8081", None)


# --- real servers


@pytest_asyncio.fixture(params=["simulator", "witness"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    app = api_of(FakeReplica()).app() if request.param == "simulator" else witness_app(FakeWitness(), TOKEN)
    access = AccessRules.of_listener("127.0.0.1:0", origins=["http://localhost:3000"], advice="; --allow-origin")
    async with serve_app(app, "127.0.0.1:0", drain=0.1, access=access) as port:
        yield f"http://127.0.0.1:{port}"


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as http:
        yield http


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
async def test_every_path_refuses_a_foreign_page_with_a_sentence(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str]
) -> None:
    for method, path in (("GET", "/v1/status"), ("POST", "/v1/commands"), ("GET", "/metrics"), ("OPTIONS", "/nothing")):
        async with http.request(method, f"{url}{path}", headers=headers) as answer:
            assert answer.status == 403
            assert "evil.example" in (await answer.json())["error"]
            assert "--allow-origin" in (await answer.json())["error"]
            assert "Access-Control-Allow-Origin" not in answer.headers
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await http.ws_connect(f"{url}/v1/watch", headers=headers)


async def test_programs_that_are_not_browsers_notice_nothing(http: aiohttp.ClientSession, url: str) -> None:
    async with http.get(f"{url}/v1/status") as answer:
        assert answer.status == 200
        assert not any(name.startswith("Access-Control") for name in answer.headers)
    async with http.ws_connect(f"{url}/v1/watch") as socket:
        assert (await socket.receive(5)).type is aiohttp.WSMsgType.TEXT


async def test_a_request_without_a_host_is_answered(url: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
    async with asyncio.timeout(10):
        assert b" 200 OK" in await reader.readline()
    writer.close()


async def test_a_page_of_an_allowed_origin_asks_first_and_reads_all_answers(
    http: aiohttp.ClientSession, url: str
) -> None:
    page = {"Origin": "http://localhost:3000"}
    asks = page | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    async with http.options(f"{url}/v1/commands", headers=asks) as answer:
        assert answer.status == 204
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]
        assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]
    for path, status in (("/v1/status", 200), ("/nothing", 404)):
        async with http.get(f"{url}{path}", headers=page) as answer:
            assert answer.status == status
            assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]
            assert answer.headers["Vary"] == "Origin"
    async with http.ws_connect(f"{url}/v1/watch", headers=page) as socket:
        assert (await socket.receive(5)).type is aiohttp.WSMsgType.TEXT
