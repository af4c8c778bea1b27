"""The HTTP API of a local world, used by its user and by foreign pages."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from pairsim.model.authority import PlaneMap, WorldMap
from pairsim.model.status import Role
from pairsim.replication.service import RefusedError
from pairsim.server.http.listener import serve_app
from pairsim_controller.console.responses import MAX_BODY_BYTES
from pairsim_controller.local.api import world_app
from pairsim_controller.local.process import Termination
from tests.unit.client.fake_areas import fake_areas
from tests.unit.controller.local_worlds import WorldHarness, local_world, until

JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[WorldHarness]:
    async with local_world(tmp_path) as made:
        await made.known()
        yield made


@pytest_asyncio.fixture
async def http(made: WorldHarness) -> AsyncIterator[aiohttp.ClientSession]:
    app = world_app(made.world)
    async with (
        serve_app(app, "127.0.0.1:0") as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(10)) as session,
    ):
        yield session


async def post(http: aiohttp.ClientSession, path: str, **body: str) -> tuple[int, dict[str, object]]:
    async with http.post(path, json=body) as answer:
        return answer.status, await answer.json()


async def test_the_status_of_the_world(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/world") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        assert [area["area"] for area in (await answer.json())["areas"]] == ["north"]


async def test_the_area_of_an_entity_is_asked_for_in_all_areas(
    made: WorldHarness, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fake_areas("north", "south") as areas:
        known = WorldMap((PlaneMap(plane="physics", version=1, cells=areas.cells),))
        monkeypatch.setattr(type(made.world), "maps", property(lambda _world: known))
        areas.enter("south", 7, clock=5)
        async with http.get("/v1/locate/7") as answer:
            assert answer.status == 200
            found = await answer.json()
        assert (found["area"], found["number"], found["moved"], found["position"]) == ("south", 2, False, [15, 1, 1])
        for entity, status, sentence in (
            ("8", 404, "no area of the world has entity 8"),
            ("x", 400, "whole number"),
            (str(2**63), 400, "whole number"),
        ):
            async with http.get(f"/v1/locate/{entity}") as answer:
                assert answer.status == status
                assert sentence in (await answer.json())["error"]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "localhost:1:2", "::1", "[::1", "[::2]:80"],
)
@pytest.mark.parametrize("path", ["/v1/world", "/v1/kill", "/nothing"])
async def test_other_host_names_are_refused(http: aiohttp.ClientSession, host: str, path: str) -> None:
    async with http.get(path, headers={"Host": host}) as answer:
        assert answer.status == 403
        assert "does not answer as" in (await answer.json())["error"]


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1", "[::1]", "[0:0::1]:8080"])
async def test_its_own_host_names_are_answered(http: aiohttp.ClientSession, host: str) -> None:
    async with http.get("/v1/world", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", ["/v1/kill", "/v1/switchover"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_requests_without_a_preflight_are_refused(
    http: aiohttp.ClientSession, made: WorldHarness, path: str, kind: str
) -> None:
    async with http.post(path, data=b'{"area": "north"}', headers={"Content-Type": kind}) as answer:
        assert answer.status == 415
        assert "application/json" in (await answer.json())["error"]
    assert not any(place.killed for place in made.places.values())
    assert made.replicas["a"].orders == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not a valid document"),
        (b"{", "not a valid document"),
        (b"[]", "not a valid document"),
        (b"\xff", "not a valid document"),
        (b'{"role": "active"}', "missing required field `area`"),
        (b'{"area": "north", "signal": 9}', "unknown field `signal`"),
        (b'{"area": 7}', "Expected `str`"),
        (b'{"area": "north", "role": "spare"}', "'spare' must be one of active, passive, witness"),
    ],
)
async def test_the_mistake_is_named(http: aiohttp.ClientSession, made: WorldHarness, body: bytes, reason: str) -> None:
    async with http.post("/v1/kill", data=body, headers=JSON) as answer:
        assert answer.status == 400
        assert reason in (await answer.json())["error"]
    assert not any(place.killed for place in made.places.values())


async def test_a_body_is_bounded(http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/kill", data=b" " * (MAX_BODY_BYTES + 1), headers=JSON) as answer:
        assert answer.status == 413
        assert f"at most {MAX_BODY_BYTES} bytes" in (await answer.json())["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/index.html", 404), ("GET", "/v1/kill", 405), ("PUT", "/v1/world", 405)]
)
async def test_unknown_paths_and_methods_get_a_sentence(
    http: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with http.request(method, path) as answer:
        assert answer.status == status
        assert f"{method} {path}" in (await answer.json())["error"]


@pytest.mark.parametrize("path", ["/v1/kill", "/v1/switchover"])
async def test_the_error_for_an_unknown_area_lists_all_areas(http: aiohttp.ClientSession, path: str) -> None:
    status, answer = await post(http, path, area="south")
    assert status == 404
    assert str(answer["error"]).endswith("this world has north")


@pytest.mark.parametrize(("role", "name"), [("active", "a"), ("passive", "b"), ("witness", "w")])
async def test_each_role_can_be_killed(http: aiohttp.ClientSession, made: WorldHarness, role: str, name: str) -> None:
    status, answer = await post(http, "/v1/kill", area="north", role=role)
    assert (status, answer) == (200, {"replica": name, "pid": made.places[name].pid})
    assert [n for n, place in made.places.items() if place.killed] == [name]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Runs a child of this process, which stands for an engine."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


async def test_the_engine_of_a_role_is_killed_alone(
    http: aiohttp.ClientSession, made: WorldHarness, child: subprocess.Popen[bytes]
) -> None:
    await set_engine(made, "b", os.getpid(), child.pid)
    body = {"area": "north", "role": "passive", "engine": True}
    async with http.post("/v1/kill", json=body) as answer:
        assert (answer.status, await answer.json()) == (200, {"replica": "b", "pid": child.pid})
    assert await asyncio.to_thread(child.wait, 30) == -signal.SIGKILL
    assert not any(place.killed for place in made.places.values())
    async with http.get("/v1/processes") as answer:
        listed = {each["process"]: each["engine_pid"] for each in await answer.json()}
    assert listed == {"a": None, "b": child.pid, "c": None, "w": None}


async def test_a_witness_has_no_engine(http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/kill", json={"area": "north", "role": "witness", "engine": True}) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"] == "a witness has no engine: give the role active or passive"


async def test_a_process_that_is_not_the_child_of_the_named_one_gets_no_signal(
    http: aiohttp.ClientSession, made: WorldHarness, child: subprocess.Popen[bytes]
) -> None:
    """The number of an engine that has ended may be that of a foreign process by now."""
    await set_engine(made, "a", os.getppid(), child.pid)
    expected = (409, "a has no engine at the moment: try again")
    async with http.post("/v1/kill", json={"area": "north", "engine": True}) as answer:
        assert (answer.status, (await answer.json())["error"]) == expected
    assert child.poll() is None


async def test_an_engine_gets_the_signal_that_is_meant_for_it(
    http: aiohttp.ClientSession, made: WorldHarness, child: subprocess.Popen[bytes]
) -> None:
    await set_engine(made, "a", os.getpid(), child.pid)
    path, body = "/v1/processes/signal-engine", {"process": "a", "signal": "SIGSEGV"}
    async with http.post(path, json={**body, "pid": child.pid + 1}) as answer:
        assert answer.status == 409
    async with http.post(path, json={**body, "signal": "SIGTERM"}) as answer:
        assert answer.status == 400
    async with http.post(path, json={**body, "process": "nobody"}) as answer:
        assert answer.status == 404
    assert child.poll() is None
    async with http.post(path, json={**body, "pid": child.pid}) as answer:
        assert (answer.status, await answer.json()) == (200, {"replica": "a", "pid": child.pid})
    assert await asyncio.to_thread(child.wait, 30) == -signal.SIGSEGV


async def set_engine(made: WorldHarness, name: str, pid: int, engine: int) -> None:
    """Gives a process of the world a pid and an engine, and waits until the world knows of it."""
    made.places[name].pid = pid
    made.replicas[name].engine_pid = engine
    made.replicas[name].leaving = True  # significant, so that its watchers learn of it at once
    made.replicas[name].notify(None)

    def known() -> bool:
        status = made.world.watchers.replica_status(name)
        return status is not None and status.engine_pid == engine

    await until(known)


async def test_a_process_that_is_not_running_cannot_be_killed(http: aiohttp.ClientSession, made: WorldHarness) -> None:
    made.places["w"].pid = None
    status, answer = await post(http, "/v1/kill", area="north", role="witness")
    assert (status, answer["error"]) == (409, "w is not running at the moment")


@pytest.mark.parametrize(
    ("path", "role"), [("/v1/kill", "passive"), ("/v1/kill", "active"), ("/v1/switchover", "active")]
)
async def test_a_missing_role_is_reported(
    http: aiohttp.ClientSession, made: WorldHarness, path: str, role: str
) -> None:
    holder = made.replicas["a" if role == "active" else "b"]
    holder.become(Role.JOINING)
    await until(lambda: made.world.find_replica("north", role) is None)
    status, answer = await post(http, path, area="north", role=role)
    assert (status, answer["error"]) == (409, f"north has no {role} at the moment: try again")


async def test_the_active_receives_the_switchover(http: aiohttp.ClientSession, made: WorldHarness) -> None:
    status, answer = await post(http, "/v1/switchover", area="north")
    assert (status, answer) == (200, {"gap_ms": 6.5, "term": 2})
    assert (made.replicas["a"].orders, made.replicas["b"].orders) == (["switchover"], [])


async def test_a_switchover_that_is_refused_says_why(http: aiohttp.ClientSession, made: WorldHarness) -> None:
    made.replicas["a"].refuse = RefusedError("the passive is not in sync")
    status, answer = await post(http, "/v1/switchover", area="north")
    assert (status, answer["error"]) == (409, "the passive is not in sync")


async def test_of_two_actives_the_newer_one_is_killed(http: aiohttp.ClientSession, made: WorldHarness) -> None:
    made.replicas["b"].become(Role.ACTIVE, term=2)
    await until(lambda: made.world.find_replica("north", "active") == "b")
    _, answer = await post(http, "/v1/kill", area="north")
    assert answer["replica"] == "b"


async def test_processes_are_listed_and_ended_as_requested(made: WorldHarness, http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/processes") as answer:
        listed = {each["process"]: each for each in await answer.json()}
    assert listed.keys() == {"a", "b", "c", "w"}
    assert listed["a"]["kind"] == "simulator"
    assert listed["a"]["network"] == ""
    async with http.post("/v1/processes/end", json={"process": "a", "away": 3, "fresh": True}) as answer:
        assert (answer.status, await answer.json()) == (200, {"replica": "a", "pid": made.places["a"].pid})
    assert made.places["a"].endings == [Termination(downtime=3, wipe=True)]


async def test_a_start_returns_the_pid_of_a_process_that_keeps_running(
    made: WorldHarness, http: aiohttp.ClientSession
) -> None:
    answer = await post(http, "/v1/processes/start", process="a")
    assert answer == (200, {"replica": "a", "pid": made.places["a"].pid})
    made.places["a"].terminate(Termination(grace=60))
    assert await post(http, "/v1/processes/start", process="a") == (200, {"replica": "a", "pid": None})
    assert (await post(http, "/v1/processes/start", process="nobody"))[0] == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"process": "nobody"}, 404),
        ({"process": "a", "away": -1}, 400),
        ({"process": "a", "away": 1e9}, 400),
        ({"process": "a", "how": "gently"}, 400),
        ({}, 400),
    ],
)
async def test_an_invalid_termination_ends_nothing(
    made: WorldHarness, http: aiohttp.ClientSession, body: dict[str, object], status: int
) -> None:
    async with http.post("/v1/processes/end", json=body) as answer:
        assert answer.status == status
    assert not any(place.endings for place in made.places.values())
