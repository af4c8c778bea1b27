"""`pairsim skip` and `pairsim engines restart` in a local world, and at the URL of a process, as in a cluster."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairsim.model.status import Role
from pairsim.replication.service import RefusedError
from tests.unit.cli.local_world import pairsim, running
from tests.unit.server.fakes import FakeReplica, command
from tests.unit.server.http_servers import TOKEN, serve_replica


@pytest.fixture
def service() -> FakeReplica:
    return FakeReplica()


@pytest.fixture
def url(service: FakeReplica) -> Iterator[str]:
    """Serves the replica in another thread: the command has an event loop of its own."""
    found: list[str] = []
    ready, loop, done = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with serve_replica(service) as address:
            found.append(address)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(20)
        loop.close()


@pytest.fixture
def token(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return str(path)


def test_a_skip_prints_the_tick_that_is_tried_again(tmp_path: Path) -> None:
    with running(tmp_path) as world:
        result = world.run("skip", "north", "c1")
        assert result.exit_code == 0
        assert re.fullmatch(r"north goes on with tick \d+ without command c1\n", result.stdout)
        world.made.replicas["a"].refuse = RefusedError("north is not paused")
        result = world.run("skip", "north", "c1")
        assert (result.exit_code, result.stderr) == (1, "Error: north is not paused\n")
        assert "this world has north" in world.run("skip", "south", "c1").stderr


def test_an_order_reaches_the_replica_that_leads(service: FakeReplica, url: str, token: str) -> None:
    result = pairsim("skip", "north", "c1", "--url", url, "--token-file", token)
    assert (result.exit_code, result.stdout) == (0, "north goes on with tick 10 without command c1\n")
    assert service.orders == [("skip", "c1")]


def test_without_a_command_all_commands_of_the_tick_are_listed(
    service: FakeReplica, url: str, token: str, tmp_path: Path
) -> None:
    result = pairsim("skip", "north", "--url", url, "--token-file", token)
    assert result.stdout == "north is paused before tick 10, which fails before it has any commands\n"
    service.failing = [command("c1"), command("c2", "push", 7)]
    result = pairsim("skip", "north", "--url", url, "--token-file", token)
    assert result.stdout == (
        "north is paused before tick 10, which has 2 commands:\nc1  set of entity 1\nc2  push of entity 7  left out\n"
    )
    with running(tmp_path) as world:
        world.made.replicas["a"].failing = [command("c1")]
        assert re.fullmatch(
            r"north is paused before tick \d+, which has 1 command:\nc1  set of entity 1\n",
            world.run("skip", "north").stdout,
        )
        assert "this world has north" in world.run("skip", "so&uth").stderr
        world.made.replicas["a"].refuse = RefusedError("north is not paused")
        assert world.run("skip", "north").stderr == "Error: north is not paused\n"


def test_a_refusal_is_printed(service: FakeReplica, url: str, token: str) -> None:
    service.refuse = RefusedError("north is not paused")
    result = pairsim("skip", "north", "c1", "--url", url, "--token-file", token)
    assert (result.exit_code, result.stderr) == (1, "Error: north is not paused\n")


def test_a_passive_does_not_take_it(service: FakeReplica, url: str, token: str) -> None:
    service.become(Role.PASSIVE)
    result = pairsim("skip", "north", "c1", "--url", url, "--token-file", token)
    assert result.exit_code == 1
    assert "no active" in result.stderr


def test_a_url_needs_a_token(url: str, tmp_path: Path) -> None:
    assert "--url needs --token-file" in pairsim("skip", "north", "c1", "--url", url).stderr
    missing = pairsim("skip", "north", "c1", "--url", url, "--token-file", str(tmp_path / "none"))
    assert "the token cannot be read" in missing.stderr
    assert "is not a URL" in pairsim("skip", "north", "c1", "--url", "north").stderr


def test_engines_are_started_again(service: FakeReplica, url: str, token: str, tmp_path: Path) -> None:
    words = ("engines", "restart", "north")
    result = pairsim(*words, "--url", url, "--token-file", token)
    assert (result.exit_code, result.stdout) == (0, "north tries tick 10 again with new engines\n")
    assert pairsim(*words, "--url", url, "--token-file", token, "--even-if-seen").exit_code == 0
    assert service.orders == [("restart", False), ("restart", True)]
    with running(tmp_path) as world:
        assert re.fullmatch(r"north tries tick \d+ again with new engines\n", world.run(*words).stdout)
        assert world.run(*words, "--even-if-seen").exit_code == 0
        assert world.made.replicas["a"].orders[-2:] == [("restart", False), ("restart", True)]
        world.made.replicas["a"].refuse = RefusedError("north is not paused")
        assert world.run(*words).stderr == "Error: north is not paused\n"
