"""The HTTP contract of a simulator process."""

from __future__ import annotations

import asyncio
import io
import threading

import aiohttp
import msgspec
import pytest

from pairsim.model.authority import Authority
from pairsim.model.status import ReplicaStatus, Role
from pairsim.protocol.frames import MAX_BODY
from pairsim.replication.service import NoStateError, RefusedError
from pairsim.server.http.listener import serve_app
from tests.unit.server.fakes import TOKEN, FakeReplica, as_json, assignment, commands
from tests.unit.server.http_servers import api_of, serve_replica, soon

JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def get(http: aiohttp.ClientSession, url: str) -> tuple[int, dict[str, object]]:
    async with http.get(url) as answer:
        return answer.status, as_json(await answer.read())


async def post(http: aiohttp.ClientSession, url: str, body: bytes) -> tuple[int, dict[str, object]]:
    async with http.post(f"{url}/v1/commands", data=io.BytesIO(body), headers=JSON) as answer:
        return answer.status, as_json(await answer.read())


async def test_the_status_is_the_replicas(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    async with http.get(f"{url}/v1/status") as answer:
        assert msgspec.json.decode(await answer.read(), type=ReplicaStatus) == service.status()


async def test_commands_are_answered_after_their_commit(http: aiohttp.ClientSession, url: str) -> None:
    status, body = await post(http, url, msgspec.json.encode({"commands": commands(2)}))
    assert (status, body["term"]) == (200, 1)
    assert [r["status"] for r in body["results"]] == ["applied", "applied"]


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "document"),
        (b"{}", 400, "commands"),
        (b'{"commands":[]}', 400, "empty"),
        (b'{"commands":[{"id":"a","op":"set","entity":1,"components":{"mass":1}},{"id":"b"}]}', 400, "op"),
        (b'{"commands":[{"id":"a","op":"set","entity":1,"components":{"mass":1},"extra":1}]}', 400, "extra"),
        (b'{"commands":[{"id":"a","op":"set","entity":1,"components":{"mass":NaN}}]}', 400, "JSON"),
        (b'{"commands":[{"id":"a","op":"set","entity":1,"components":{"mass":1e999}}]}', 400, "range"),
        (b'{"commands":[{"id":"a","op":"set","entity":9223372036854775808,"components":{"mass":1}}]}', 400, "entity"),
        (b'{"commands":[{"id":"a","op":"set","entity":' + b"9" * 5000 + b',"components":{"mass":1}}]}', 400, "entity"),
        (b'{"commands":[{"id":"","op":"set","entity":1,"components":{"mass":1}}]}', 400, "id"),
        (b'{"commands":[{"id":"a","op":"sing","entity":1}]}', 400, "sing"),
        (b"[" * 100_000, 400, "document"),
    ],
)
async def test_a_bad_batch_is_refused_with_a_sentence(
    http: aiohttp.ClientSession, url: str, service: FakeReplica, body: bytes, status: int, word: str
) -> None:
    answered, answer = await post(http, url, body)
    assert answered == status
    assert word in str(answer["error"])
    assert not service.seen


async def test_one_bad_command_refuses_the_whole_batch(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    batch = [msgspec.to_builtins(c) for c in commands(3)]
    batch[2]["components"] = {"colour": 1}
    status, body = await post(http, url, msgspec.json.encode({"commands": batch}))
    assert status == 400
    assert "colour" in str(body["error"])
    assert not service.seen


async def test_an_error_quotes_only_the_beginning_of_a_long_text(http: aiohttp.ClientSession, url: str) -> None:
    batch = [{"id": "a", "op": "o" * 100_000, "entity": 1}]
    status, body = await post(http, url, msgspec.json.encode({"commands": batch}))
    assert status == 400
    assert len(str(body["error"])) < 500


async def test_an_id_twice_in_a_batch_is_refused(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    status, body = await post(http, url, msgspec.json.encode({"commands": commands(1) * 2}))
    assert status == 400
    assert "twice" in str(body["error"])
    assert not service.seen


async def test_a_batch_or_body_that_is_too_large_is_413(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    assert (await post(http, url, msgspec.json.encode({"commands": commands(10_001)})))[0] == 413
    assert (await post(http, url, b" " * (MAX_BODY + 1)))[0] == 413
    assert not service.seen


async def test_a_compressed_body_is_415(http: aiohttp.ClientSession, url: str) -> None:
    headers = JSON | {"Content-Encoding": "gzip"}
    async with http.post(f"{url}/v1/commands", data=b"\x1f\x8b broken", headers=headers) as answer:
        assert answer.status == 415


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_body_that_a_page_can_send_unasked_is_415(
    http: aiohttp.ClientSession, url: str, service: FakeReplica, kind: str
) -> None:
    body = msgspec.json.encode({"commands": commands(1)})
    async with http.post(f"{url}/v1/commands", data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status == 415
        assert "Content-Type: application/json" in as_json(await answer.read())["error"]
    assert not service.seen


async def test_a_full_inbox_is_429(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.full = True
    async with http.post(
        f"{url}/v1/commands", data=msgspec.json.encode({"commands": commands(1)}), headers=JSON
    ) as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "1"


async def test_a_spare_refuses_commands(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.become(Role.SPARE)
    async with http.post(
        f"{url}/v1/commands", data=msgspec.json.encode({"commands": commands(1)}), headers=JSON
    ) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
    assert (await get(http, f"{url}/v1/entities"))[0] == 503


async def test_unknown_paths_are_404_and_unknown_methods_are_405(http: aiohttp.ClientSession, url: str) -> None:
    assert await get(http, f"{url}/v2/status") == (404, {"error": "there is nothing at /v2/status"})
    async with http.get(f"{url}/v1/commands") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert (await get(http, f"{url}/v1/session"))[0] == 426


async def test_an_internal_error_is_a_500_without_its_details(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    service.broken = True
    status, body = await get(http, f"{url}/v1/status")
    assert status == 500
    assert "secret" not in str(body)


async def test_an_entity_comes_with_its_tick(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.spawn(5, [[1.0, 2.0, 3.0]])
    assert await get(http, f"{url}/v1/entities/5") == (
        200,
        {"id": 5, "tick": 10, "term": 1, "components": {"position": [1.0, 2.0, 3.0], "mass": 0.0}},
    )
    assert (await get(http, f"{url}/v1/entities/6"))[0] == 404
    assert (await get(http, f"{url}/v1/entities/-6"))[0] == 400


async def test_entities_of_a_box_come_page_by_page(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.spawn(1, [[float(i % 10), 0.0, float(i)] for i in range(50)])
    found: list[int] = []
    after = -1
    while True:
        query = f"min=2,-1&max=5,1&limit=4&after={after}"
        _, page = await get(http, f"{url}/v1/entities?{query}")
        found += [entity["id"] for entity in page["entities"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert found == [i + 1 for i in range(50) if i % 10 in (2, 3, 4)]
    _, page = await get(http, f"{url}/v1/entities?min=0,0,0&max=10,10,5")
    assert [entity["id"] for entity in page["entities"]] == [1, 2, 3, 4, 5]


async def test_a_box_is_half_open_in_full_precision(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    service.spawn(1, [[0.1, 0.0, 0.0]])  # as float32 it is 0.10000000149
    _, page = await get(http, f"{url}/v1/entities?min=0.1,0&max=1,1")
    assert len(page["entities"]) == 1
    _, page = await get(http, f"{url}/v1/entities?min=0,0&max=0.1,1")
    assert page["entities"] == []
    _, page = await get(http, f"{url}/v1/entities?min=-1e300,0&max=1e300,1")
    assert len(page["entities"]) == 1


async def test_ids_of_old_worlds_above_53_bits_stay_valid(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    old = [2**53 + 1, 2**62 + 5, 2**63 - 1]
    for entity in old:
        service.spawn(entity, [[1.0, 2.0, 3.0]])
    found, after = [], 2**53
    while after is not None:
        _, page = await get(http, f"{url}/v1/entities?limit=1&after={after}")
        found += [entity["id"] for entity in page["entities"]]  # type: ignore[attr-defined]
        after = page["next"]  # type: ignore[assignment]
    assert found == old
    for entity in old:
        assert (await get(http, f"{url}/v1/entities/{entity}"))[1]["id"] == entity
    moved = {"id": "a", "op": "set", "entity": old[1], "components": {"position": [4, 5, 6]}}
    assert (await post(http, url, msgspec.json.encode({"commands": [moved]})))[0] == 200


@pytest.mark.parametrize(
    "query",
    [
        "min=1,2",
        "min=1&max=2",
        "min=a,b&max=1,2",
        "min=1,2&max=1,3",
        "min=nan,0&max=1,1",
        "min=0,0&max=inf,1",
        "min=1,2,3,4&max=5,6,7,8",
        "limit=0",
        "limit=1e3",
        "limit=10001",
        "limit=%D9%A3",
        "after=9223372036854775808",
    ],
)
async def test_a_bad_listing_is_400(http: aiohttp.ClientSession, url: str, query: str) -> None:
    assert (await get(http, f"{url}/v1/entities?{query}"))[0] == 400


async def test_a_state_that_cannot_be_read_is_503(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.read_errors = [NoStateError("this replica is joining")]
    assert await get(http, f"{url}/v1/entities") == (503, {"error": "this replica is joining"})


async def test_digests_of_recent_ticks_are_listed(http: aiohttp.ClientSession, url: str) -> None:
    status, body = await get(http, f"{url}/v1/digests?from=8&to=12")
    assert (status, sorted(body["digests"])) == (200, ["10", "8", "9"])
    assert len((await get(http, f"{url}/v1/digests"))[1]["digests"]) == 10
    assert (await get(http, f"{url}/v1/digests?from=5&to=4"))[0] == 400
    assert (await get(http, f"{url}/v1/digests?from=0&to=10000000000"))[0] == 400


async def test_the_map_is_what_the_area_knows_of_its_plane(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    status, body = await get(http, f"{url}/v1/map")
    assert (status, msgspec.convert(body, Authority)) == (200, service.authority())
    assert (await get(http, f"{url}/v1/map?area=north"))[0] == 400
    service.role = Role.SPARE
    assert (await get(http, f"{url}/v1/map"))[0] == 503


CONTROL = [
    ("POST", "/v1/switchover", b""),
    ("GET", "/v1/skip", b""),
    ("POST", "/v1/skip", b'{"command": "c1"}'),
    ("POST", "/v1/engines/restart", b""),
    ("POST", "/v1/leave", b""),
    ("PUT", "/v1/assignment", msgspec.json.encode(assignment())),
    ("DELETE", "/v1/assignment?area=north", b""),
    ("PUT", "/v1/warm-engine", b'{"keep":true}'),
    (
        "PUT",
        "/v1/authority",
        msgspec.json.encode(Authority(area="north", version=2, cells=())),
    ),
]


async def test_a_grant_that_waits_for_a_tick_keeps_no_order_waiting(
    http: aiohttp.ClientSession, url: str, service: FakeReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(_authority: Authority, _timeout: float) -> None:
        begun.set()
        assert go_on.wait(30)

    monkeypatch.setattr(service, "authorise", wait)
    body = msgspec.json.encode(Authority(area="north", version=2, cells=()))
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        grant = group.create_task(http.put(f"{url}/v1/authority", data=body, headers=BEARER))
        await asyncio.to_thread(begun.wait, 30)
        async with http.post(f"{url}/v1/switchover", headers=BEARER) as answer:
            assert answer.status == 200
        assert not grant.done()
        go_on.set()
        assert (await grant).status == 204


@pytest.mark.parametrize(("method", "path", "body"), CONTROL)
async def test_control_paths_need_the_token(
    http: aiohttp.ClientSession, url: str, service: FakeReplica, method: str, path: str, body: bytes
) -> None:
    for given, status in (
        ({}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": "Bearer wrong"}, 403),
        ({"Authorization": "Bearer \u00fc\u00ff"}, 403),
    ):
        async with http.request(method, url + path, data=body, headers=given) as answer:
            assert answer.status == status
            assert (await answer.json())["error"]
    assert service.orders == service.granted == []
    async with http.request(method, url + path, data=body, headers=BEARER) as answer:
        assert answer.status in (200, 204)
    assert len([*service.orders, *service.granted]) == 1


@pytest.mark.parametrize(("method", "path", "body"), CONTROL)
async def test_a_contradicting_control_request_is_409(
    http: aiohttp.ClientSession, url: str, service: FakeReplica, method: str, path: str, body: bytes
) -> None:
    service.refuse = RefusedError("generation 9 is in force")
    async with http.request(method, url + path, data=body, headers=BEARER) as answer:
        assert (answer.status, await answer.json()) == (409, {"error": "generation 9 is in force"})


@pytest.mark.parametrize(
    ("method", "path", "sentence"),
    [
        ("GET", "/v1/entities?lmit=5", "/v1/entities has no parameter 'lmit': it takes min, max, limit, after"),
        ("GET", "/v1/entities?limit=5&from=1", "/v1/entities has no parameter 'from': it takes min, max, limit, after"),
        ("GET", "/v1/digests?form=1", "/v1/digests has no parameter 'form': it takes from, to"),
        (
            "GET",
            "/v1/observe?component=mass",
            "/v1/observe has no parameter 'component': it takes min, max, components, hz, clock",
        ),
        ("GET", "/v1/backup?area=north&x=", "/v1/backup has no parameter 'x': it takes area"),
        ("DELETE", "/v1/assignment?area=north&aera=", "/v1/assignment has no parameter 'aera': it takes area"),
    ],
)
async def test_an_unknown_query_parameter_is_400(
    http: aiohttp.ClientSession, url: str, service: FakeReplica, method: str, path: str, sentence: str
) -> None:
    async with http.request(method, url + path, headers=BEARER) as answer:
        assert (answer.status, await answer.json()) == (400, {"error": sentence})
    assert service.orders == []


async def test_a_bad_assignment_is_400(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    document = msgspec.to_builtins(assignment())
    document["witness"] = document["replicas"][0]
    for body in (b"{", msgspec.json.encode(document), msgspec.json.encode({"spec": {}})):
        async with http.put(f"{url}/v1/assignment", data=body, headers=BEARER) as answer:
            assert answer.status == 400
    async with http.delete(f"{url}/v1/assignment", headers=BEARER) as answer:
        assert answer.status == 400
    assert service.orders == []


async def test_the_passive_refuses_a_switchover(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.become(Role.PASSIVE)
    async with http.post(f"{url}/v1/switchover", headers=BEARER) as answer:
        assert answer.status == 421


@pytest.mark.parametrize(
    ("role", "ready", "active", "passive"),
    [
        (Role.ACTIVE, 200, 200, 503),
        (Role.PASSIVE, 200, 503, 200),
        (Role.JOINING, 503, 503, 503),
        (Role.SPARE, 200, 503, 503),
    ],
)
async def test_probes_follow_the_role(role: Role, ready: int, active: int, passive: int) -> None:
    async with serve_replica(FakeReplica(role=role)) as url, aiohttp.ClientSession() as http:
        for path, expected in {"livez": 200, "readyz": ready, "active": active, "passive": passive}.items():
            async with http.get(f"{url}/{path}") as answer:
                assert answer.status == expected, path


async def test_metrics_show_role_ticks_and_results(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.rejects["c1"] = "no"
    await post(http, url, msgspec.json.encode({"commands": commands(2)}))
    service.full = True
    await post(http, url, msgspec.json.encode({"commands": commands(3, "d")}))
    async with http.ws_connect(f"{url}/v1/observe"), http.get(f"{url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    for line in (
        'pairsim_role{area="north",role="active"} 1.0',
        'pairsim_role{area="north",role="passive"} 0.0',
        'pairsim_term{area="north"} 1.0',
        'pairsim_tick{area="north"} 11.0',
        'pairsim_synced_tick{area="north"} 11.0',
        'pairsim_commands_total{area="north",result="applied"} 1.0',
        'pairsim_commands_total{area="north",result="rejected"} 1.0',
        'pairsim_commands_total{area="north",result="refused"} 3.0',
        'pairsim_inbox_refusals_total{area="north"} 1.0',
        'pairsim_observers{area="north"} 1.0',
    ):
        assert line in lines


async def test_a_watcher_gets_the_status_at_once_and_on_every_change(
    http: aiohttp.ClientSession, service: FakeReplica
) -> None:
    api = api_of(service)
    api._watch._refresh = 1000.0  # only a change can bring the second one
    async with (
        serve_app(api.app(), "127.0.0.1:0") as number,
        http.ws_connect(f"http://127.0.0.1:{number}/v1/watch") as socket,
    ):
        first = msgspec.json.decode(await soon(socket.receive_str()), type=ReplicaStatus)
        assert first.role is Role.ACTIVE
        service.become(Role.PASSIVE, term=2)
        received = msgspec.json.decode(await soon(socket.receive_str()), type=ReplicaStatus)
        assert (received.role, received.term) == (Role.PASSIVE, 2)


async def test_a_watcher_gets_the_tick_with_every_refresh(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    async with http.ws_connect(f"{url}/v1/watch") as socket:
        await soon(socket.receive_str())
        service.tick = 99
        assert msgspec.json.decode(await soon(socket.receive_str()), type=ReplicaStatus).tick == 99
