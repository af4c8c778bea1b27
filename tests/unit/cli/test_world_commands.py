"""`pairsim status`, `switchover` and `kill` against a local world, as a user types them."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
import pytest
from rich.console import Console, RenderableType
from rich.live import Live

from pairsim.cli import local_api, status
from pairsim.cli.local_api import WorldAddress
from pairsim.model.status import Role
from pairsim.model.world_status import AreaStatusView, ProcessRow, ReplicaRow, WorldStatus
from pairsim.replication.service import RefusedError
from pairsim_controller.local.world_status import world_status
from tests.unit.cli.local_world import Running, pairsim, running
from tests.unit.controller.builders import BOX

NOBODY = "9"
"""A port without a listener."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Runs a world for the tests that do not change it."""
    with running(tmp_path_factory.mktemp("world")) as world:
        yield world


@contextmanager
def server(*answers: bytes) -> Iterator[str]:
    """Runs a server that is not a world: it answers each connection with the next bytes, and then with nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                connection.settimeout(5)
                connection.recv(10_000)
                connection.sendall(answer)
                connection.close()
            if answers:
                listener.close()  # further connections are refused

        thread = threading.Thread(target=serve)
        thread.start()
        yield str(listener.getsockname()[1])
        thread.join(10)


def answer(body: bytes, code: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (code.encode(), len(body), body)


# --- status


def test_status_shows_the_role_of_every_process(shared: Running) -> None:
    result = shared.run("status")
    assert result.exit_code == 0, result.output
    assert "1 area, 1 spare" in result.stdout
    rows = [[cell.strip() for cell in line.split("│")[1:5]] for line in result.stdout.splitlines() if line[0] == "│"]
    assert rows == [
        ["north", "active", "a", "1"],
        ["", "passive", "b", "1"],
        ["redundant", "witness", "w", ""],
        ["", "spare", "c", ""],
    ]


def test_status_shows_that_time_runs_slowly(tmp_path: Path) -> None:
    with running(tmp_path) as world:

        def slow() -> None:
            world.made.replicas["a"].pace = 0.41
            world.made.replicas["a"].notify(None)

        world.do(slow, lambda: getattr(world.made.world.watchers["a"].status, "pace", 1.0) < 1)
        said = " ".join(world.run("status").stdout.split())
        assert "north is slow: ticks take 121 ms, there are 50 ms for each: time runs at 0.41 of its rate" in said
        area = json.loads(world.run("status", "--json").stdout)["areas"][0]
        assert (area["pace"], area["tick_ms"]) == (0.41, 121.0)
        active = next(line for line in world.run("status").stdout.splitlines() if "active" in line)
        assert "121.0 │  41%" in active


def test_the_table_is_complete_without_a_terminal(shared: Running) -> None:
    output = shared.run("status").stdout
    assert "…" not in output
    for place in shared.made.places.values():
        assert place.url in output


def test_status_prints_json_for_programs(shared: Running) -> None:
    result = shared.run("status", "--json")
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    area = shown["areas"][0]
    assert set(area) >= {"area", "plane", "bounds", "redundant", "replicas", "witness"}
    assert set(area["replicas"][0]) == {
        "replica", "role", "term", "tick", "lag_ticks", "entities", "url", "pid", "divergences", "outside",
    }  # fmt: skip
    assert set(area["witness"]) == set(shown["spares"][0]) == {"url", "pid", "name"}
    assert (area["witness"]["name"], shown["spares"][0]["name"]) == ("w", "c")
    assert msgspec.convert(shown, WorldStatus).areas[0].redundant


def test_an_area_without_replicas_is_in_the_table(tmp_path: Path) -> None:
    with running(tmp_path) as world:
        world.do(
            lambda: [r.become(Role.SPARE) for r in world.made.replicas.values()],
            lambda: world.made.world.find_replica("north", "active") is None,
        )
        output = world.run("status").stdout
        assert "north" in output
        assert "NOT redundant" in output
        assert "north is not redundant: no replica can be reached" in output


def on_a_terminal(picture: WorldStatus, width: int) -> str:
    screen = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    screen.print(status.render(picture, width))
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def seen(**changes: object) -> WorldStatus:
    """A world that has run for a while."""
    url = "http://127.0.0.1:24601"
    pair = [
        ReplicaRow(f"sim-{number}", role, 123, 7_654_321, 12, 123_456, url, 1_234_567)
        for number, role in ((1, "active"), (2, "passive"))
    ]
    area = AreaStatusView("west", "physics", BOX, False, 3, pair, ProcessRow(url, 1_234_567, "witness-1"), "of a test")
    return WorldStatus([msgspec.structs.replace(area, **changes)], [ProcessRow(url, 1_234_567, "sim-3")])


@pytest.mark.parametrize(
    ("width", "left_out"), [(140, ()), (110, ("url",)), (90, ("url", "times")), (80, ("url", "times", "pid"))]
)
def test_a_narrow_terminal_shows_fewer_columns_without_cutting_them(width: int, left_out: tuple[str, ...]) -> None:
    output = on_a_terminal(seen(tick_ms=31.25, pace=0.94), width)
    assert max(map(len, output.splitlines())) <= width
    words = {"url": "http://127.0.0.1:24601", "pid": "1234567", "times": "31.2 │  94% │"}
    for word in ("NOT redundant", "sim-1", "sim-3", "witness-1", "passive", "7654321", "123456", *words.values()):
        assert (word in output) == (word not in [words[name] for name in left_out]), word
    assert "west is not redundant: of a test" in output


@pytest.mark.parametrize("width", [80, 40])
def test_long_names_continue_in_the_next_line(width: int) -> None:
    output = on_a_terminal(seen(area="a" * 63), width)
    assert output.count("a" * 5) > 2
    assert "…" not in output
    assert max(map(len, output.splitlines())) <= width


def test_a_step_that_is_not_deterministic_is_in_the_status(tmp_path: Path) -> None:
    with running(tmp_path) as world:
        world.do(
            lambda: setattr(world.made.replicas["b"], "divergences", 3),
            lambda: any(replica.divergences for replica in world_status(world.made.world).areas[0].replicas),
        )
        assert (
            "north: the state of b differed from the active's 3 times since its start: the step of its simulator is"
            " not deterministic"
        ) in world.run("status").stdout
        world.do(
            lambda: setattr(world.made.replicas["a"], "divergences", 1),
            lambda: all(replica.divergences for replica in world_status(world.made.world).areas[0].replicas),
        )
        assert "north: the state of a, the active now, had differed from that of the active before it" in (
            world.run("status").stdout
        )


@pytest.mark.parametrize("command", [("status",), ("status", "--json"), ("status", "--watch"), ("switchover", "north"),
                                     ("kill", "north"), ("send", "north", "despawn", "1")])  # fmt: skip
def test_without_a_world_the_error_says_how_to_start_one(command: tuple[str, ...]) -> None:
    result = pairsim(*command, "--port", NOBODY)
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: no world runs on port 9: start one with `pairsim up WORLD.yaml`, or give its --port\n"
    )
    assert result.stdout == ""


@pytest.mark.parametrize("port", ["0", "-1", "65536", "http", ""])
def test_an_invalid_port_is_a_usage_error(port: str) -> None:
    assert pairsim("status", "--port", port).exit_code == 2


@pytest.mark.parametrize("host", ["nosuch.invalid", "", "a b", "[::1", "ä" * 70, "x/y", "\udcff"])
def test_an_invalid_host_ends_in_a_sentence(host: str) -> None:
    result = pairsim("status", "--host", host, "--port", NOBODY)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (answer(b"hello"), "does not answer as a world of this version does"),
        (answer(b"{}"), "does not answer as a world of this version does"),
        (answer(b'{"areas": [{}], "spares": []}'), "does not answer as a world of this version does"),
        (answer(b"<h1>gone</h1>", "404 Not Found"), "the world answered 404"),
        (answer(b'{"error": "no such thing"}', "404 Not Found"), "no such thing"),
        (answer(b'{"detail": 1}', "500 Oops"), "the world answered 500"),
        (answer(b'"error"', "500 Oops"), "the world answered 500"),
        (b"", "broke off"),
        (b"SSH-2.0-OpenSSH_9\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{", "broke off"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\n{", "the world answered 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", "the world answered 302"),
    ],
)  # fmt: skip
def test_another_server_on_the_port_ends_in_a_sentence(given: bytes, sentence: str) -> None:
    with server(given) as port:
        result = pairsim("status", "--port", port)
    assert result.exit_code == 1
    assert sentence in result.stderr


@pytest.mark.parametrize(
    "command", [("status",), ("switchover", "north"), ("kill", "north"), ("send", "north", "x", "1")]
)
@pytest.mark.parametrize("name", ["a", "w"])
def test_the_port_of_a_process_in_place_of_the_world_is_explained(
    shared: Running, command: tuple[str, ...], name: str
) -> None:
    port = shared.made.places[name].spec.http_port
    result = pairsim(*command, "--port", str(port))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: port {port} belongs to the process {name}: give the port of the `pairsim up` that runs it\n"
    )


def test_a_world_that_hangs_has_a_sentence_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_api, "_TIMEOUT_SECONDS", 0.1)
    with server() as port:
        result = pairsim("status", "--port", port)
    assert result.exit_code == 1
    assert "does not answer: `pairsim up` hangs, or another program listens there" in result.stderr


def test_a_proxy_of_the_environment_is_ignored(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert shared.run("status").exit_code == 0


# --- watching


def seen_by(world: Running) -> WorldStatus:
    return local_api.fetch_world(WorldAddress("127.0.0.1", world.port))


def watched(monkeypatch: pytest.MonkeyPatch, *looks: WorldStatus | str) -> None:
    """Makes `pairsim status` see worlds and, for a text, no world; after them the user presses Ctrl-C."""
    left = iter(looks)

    def look(_address: WorldAddress) -> WorldStatus:
        seen = next(left, None)
        if seen is None:
            raise KeyboardInterrupt
        if isinstance(seen, str):
            raise click.ClickException(seen)
        return seen

    monkeypatch.setattr(status, "fetch_world", look)
    monkeypatch.setattr(status, "_REFRESH_SECONDS", 0.0)


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_watching_goes_on_while_the_world_is_gone_and_says_so_once(
    shared: Running, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    world = seen_by(shared)
    watched(monkeypatch, world, "no world runs", "no world runs", "it does not answer", world, "no world runs")
    result = shared.run("status", "--watch", *words)
    assert result.exit_code == 0
    assert result.stdout.count('{"areas":[' if words else "1 area, 1 spare") == 2
    assert re.sub(r"\d\d:\d\d:\d\d  ", "", result.stderr).splitlines() == [
        f"{reason}; waiting for the world" for reason in ("no world runs", "it does not answer", "no world runs")
    ]


def lines(shown: RenderableType) -> list[str]:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(shown)
    return console.export_text().splitlines()


def edges(shown: RenderableType) -> list[int]:
    """Returns the places of the borders between the columns."""
    return [place for place, sign in enumerate(lines(shown)[1]) if sign in "┏┳┓"]


def test_the_columns_stay_where_they_are_while_a_world_is_watched(shared: Running) -> None:
    seen, change = seen_by(shared), msgspec.structs.replace
    area = seen.areas[0]
    grown = change(area, redundant=False, replicas=[change(r, tick=1_000_000, entities=2_000) for r in area.replicas])
    widths = dict(status._WATCHED_WIDTHS)
    shapes = [
        edges(status.render(change(seen, areas=[each]), 200, widths))
        for each in (area, grown, change(area, replicas=[]), area)
    ]
    assert shapes == [shapes[0]] * 4
    long = change(area, replicas=[change(area.replicas[0], replica="a-name-that-is-longer-than-the-room")])
    wider = edges(status.render(change(seen, areas=[long]), 200, widths))
    assert wider != shapes[0]
    assert edges(status.render(seen, 200, widths)) == wider


def test_the_terminal_keeps_the_last_table_while_the_world_is_gone(shared: Running) -> None:
    live = Live(console=Console(file=io.StringIO(), width=200), auto_refresh=False)
    screen = status._Screen(live)
    screen.show(seen_by(shared))
    before = lines(live.renderable)
    screen.show_gone("10:00:00  no world runs; waiting for the world")
    assert lines(live.renderable) == [*before, "10:00:00  no world runs; waiting for the world"]


def test_an_ipv6_address_is_shown_in_its_brackets(shared: Running) -> None:
    seen, change = seen_by(shared), msgspec.structs.replace
    spare = change(seen.spares[0], url="http://[fd00::5]:8080")
    assert "http://[fd00::5]:8080" in "".join(lines(status.render(change(seen, spares=[spare]), 200)))


def test_entities_outside_of_their_area_have_a_column(shared: Running) -> None:
    seen, change = seen_by(shared), msgspec.structs.replace
    area = seen.areas[0]
    strayed = change(area, replicas=[change(area.replicas[0], entities=4321, outside=1234)])
    shown = "".join(lines(status.render(change(seen, areas=[strayed]), 200)))
    assert re.search(r"┃ entities ┃ outside ┃.*│ +4321 │ +1234 │", shown)


def test_watch_prints_one_json_document_per_line(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    world = seen_by(shared)
    watched(monkeypatch, world, world)
    result = shared.run("status", "--watch", "--json")
    assert [len(json.loads(line)["areas"]) for line in result.stdout.splitlines()] == [1, 1]


def test_ctrl_c_ends_watching_without_an_error(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", interrupted)
    result = shared.run("status", "--watch")
    assert (result.exit_code, result.stderr) == (0, "")


# --- orders


def test_a_switchover_prints_how_long_the_area_stood_still(shared: Running) -> None:
    result = shared.run("switchover", "north")
    assert (result.exit_code, result.stdout) == (0, "north switched over: it stood still for 6.5 ms; term 2\n")


def test_a_switchover_without_a_passive_prints_the_reason(tmp_path: Path) -> None:
    with running(tmp_path) as world:
        world.made.replicas["a"].refuse = RefusedError("the passive is not in sync")
        result = world.run("switchover", "north")
        assert (result.exit_code, result.stderr) == (1, "Error: the passive is not in sync\n")


@pytest.mark.parametrize("command", ["switchover", "kill"])
@pytest.mark.parametrize("area", ["south", "", "NORTH", "../north", "n" * 1000, "\udcff"])
def test_an_unknown_area_is_reported_with_the_known_ones(shared: Running, command: str, area: str) -> None:
    result = shared.run(command, area)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    if area != "\udcff":
        assert "this world has north" in result.stderr


@pytest.mark.parametrize("command", ["switchover", "kill"])
def test_an_area_must_be_named(shared: Running, command: str) -> None:
    result = shared.run(command)
    assert result.exit_code == 2
    assert "Missing argument 'AREA'" in result.stderr


@pytest.mark.parametrize(("role", "name"), [("active", "a"), ("passive", "b"), ("witness", "w")])
def test_each_role_can_be_killed(shared: Running, role: str, name: str) -> None:
    pid = shared.made.places[name].pid
    result = shared.run("kill", "north", "--role", role)
    assert (result.exit_code, result.stdout) == (0, f"killed {name}, the {role} of north (pid {pid})\n")
    assert shared.made.places[name].killed.pop() == pid


def test_the_engine_of_a_role_is_killed_alone(tmp_path: Path) -> None:
    with running(tmp_path) as world, subprocess.Popen(["sleep", "600"]) as engine:

        def change() -> None:
            replica = world.made.replicas["a"]
            world.made.places["a"].pid, replica.engine_pid, replica.leaving = os.getpid(), engine.pid, True
            replica.notify(None)

        world.do(change, lambda: getattr(world.made.world.watchers["a"].status, "leaving", False))
        result = world.run("kill", "north", "--engine")
        engine.kill()
        assert (result.exit_code, result.output) == (
            0,
            f"killed the engine of a, the active of north (pid {engine.pid})\n",
        )
        assert not world.made.places["a"].killed


def test_a_replica_without_an_engine_is_reported(shared: Running) -> None:
    result = shared.run("kill", "north", "--role", "passive", "--engine")
    assert (result.exit_code, result.stderr) == (1, "Error: b has no engine at the moment: try again\n")


def test_an_unknown_role_is_a_usage_error(shared: Running) -> None:
    result = shared.run("kill", "north", "--role", "spare")
    assert result.exit_code == 2
    assert "'spare' is not one of 'active', 'passive', 'witness'" in result.stderr


def test_a_process_that_does_not_run_cannot_be_killed(tmp_path: Path) -> None:
    with running(tmp_path) as world:
        world.made.places["b"].pid = None
        result = world.run("kill", "north", "--role", "passive")
        assert (result.exit_code, result.stderr) == (1, "Error: b is not running at the moment\n")


def test_the_version_and_help_need_no_world() -> None:
    assert pairsim("--version").exit_code == 0
    assert pairsim("--help").exit_code == 0
    assert pairsim("nosuch").exit_code == 2
