"""`pairsim simulator` and `pairsim witness` with invalid settings."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
import pytest

from pairsim.cli import processes
from pairsim.replication.raft.storage import JournalError
from pairsim.settings import ProcessSettings
from pairsim.system.listening import listen
from pairsim_controller.local.process_pool import PAIRSIM
from tests.harness import ROOT, free_ports
from tests.unit.cli.local_world import pairsim
from tests.unit.controller.builders import assignment, spec

ME = f"{Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"
SECRET, TOKEN = b"a-secret-of-sixteen-bytes", b"token\n"

both = pytest.mark.parametrize("kind", ["simulator", "witness"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "token").write_bytes(TOKEN)
    return tmp_path


def words(folder: Path, **options: str) -> list[str]:
    """Returns a valid command line, changed by `options`."""
    given = {
        "name": "sim-1",
        "data": str(folder / "data"),
        "secret-file": str(folder / "secret"),
        "token-file": str(folder / "token"),
    } | {name.replace("_", "-"): value for name, value in options.items()}
    return [word for name, value in given.items() for word in (f"--{name}", value)]


def settings(folder: Path, **options: str) -> dict[str, object]:
    """Returns the parameters that click parses from a command line."""
    with processes.simulator.make_context("simulator", words(folder, **options)) as context:
        return context.params


def refused(kind: str, folder: Path, **options: str) -> tuple[int, str]:
    result = pairsim(kind, *words(folder, **options))
    assert result.stdout == ""
    return result.exit_code, result.stderr


@both
@pytest.mark.parametrize("missing", ["name", "data", "secret-file", "token-file"])
def test_a_missing_required_option_is_named(folder: Path, kind: str, missing: str) -> None:
    given = words(folder)
    place = given.index(f"--{missing}")
    result = pairsim(kind, *given[:place], *given[place + 2 :])
    assert result.exit_code == 2
    assert f"Missing option '--{missing}'" in result.stderr


@both
@pytest.mark.parametrize("name", ["secret", "token"])
def test_a_missing_file_is_named(folder: Path, kind: str, name: str) -> None:
    (folder / name).unlink()
    assert refused(kind, folder) == (1, f"Error: cannot read {folder}/{name}: No such file or directory\n")


@both
@pytest.mark.parametrize("name", ["secret", "token"])
def test_a_folder_in_place_of_a_file_is_reported(folder: Path, kind: str, name: str) -> None:
    options = {f"{name}_file": str(folder)}
    assert refused(kind, folder, **options) == (1, f"Error: cannot read {folder}: Is a directory\n")


@both
@pytest.mark.parametrize("secret", [b"", b"short", b"fifteen-bytes-x", b"   fifteen-bytes-x \n"])
def test_a_short_secret_is_refused(folder: Path, kind: str, secret: bytes) -> None:
    (folder / "secret").write_bytes(secret)
    code, sentence = refused(kind, folder)
    assert code == 1
    assert "the secret needs at least 16 bytes" in sentence


@both
def test_a_short_previous_secret_is_refused(folder: Path, kind: str) -> None:
    (folder / "previous").write_bytes(b"fifteen-bytes-x\n")
    code, sentence = refused(kind, folder, previous_secret_file=str(folder / "previous"))
    assert (code, "the previous secret needs at least 16 bytes" in sentence) == (1, True)


@pytest.mark.parametrize(
    ("content", "secrets"),
    [(None, (SECRET,)), (b"\n", (SECRET,)), (b"the-secret-before-it\n", (SECRET, b"the-secret-before-it"))],
)
def test_the_previous_secret_is_optional(folder: Path, content: bytes | None, secrets: tuple[bytes, ...]) -> None:
    if content is not None:
        (folder / "previous").write_bytes(content)
    read = processes._read_settings(settings(folder, previous_secret_file=str(folder / "previous")))
    assert read.secrets == secrets


@both
@pytest.mark.parametrize("token", [b"", b" \n", b"two words", b"two\nlines", b"\xff\xfe", "tökän".encode(), b"a\0b"])
def test_a_token_that_no_header_can_carry_is_refused(folder: Path, kind: str, token: bytes) -> None:
    (folder / "token").write_bytes(token)
    code, sentence = refused(kind, folder)
    assert code == 1
    assert "the token" in sentence
    assert sentence.count("\n") == 1


@both
@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a.b", "a" * 64, "ä"])
def test_an_invalid_name_is_a_usage_error(folder: Path, kind: str, name: str) -> None:
    code, sentence = refused(kind, folder, name=name)
    assert code == 2
    assert "small letters, digits and dashes" in sentence


@both
@pytest.mark.parametrize("option", ["http", "peer", "advertise-http", "advertise-peer"])
@pytest.mark.parametrize(
    "address", ["nonsense", "127.0.0.1", ":80", "127.0.0.1:", "h:0", "h:65536", "h:9999999999", "h:²", "a b:80", "h:-1",
                "http://h:80", "fd00::1", "[h]:80"],
)  # fmt: skip
def test_an_invalid_address_is_a_usage_error(folder: Path, kind: str, option: str, address: str) -> None:
    code, sentence = refused(kind, folder, **{option: address})
    assert code == 2
    assert f"--{option}" in sentence
    assert "is not HOST:PORT with a port of 1 to 65535" in sentence


@both
@pytest.mark.parametrize("option", ["http", "peer"])
def test_a_listen_address_must_not_be_empty(folder: Path, kind: str, option: str) -> None:
    assert refused(kind, folder, **{option: ""})[0] == 2


def test_an_advertised_address_may_be_empty(folder: Path) -> None:
    assert settings(folder, advertise_http="")["advertise_http"] == ""
    assert settings(folder, advertise_http="pod.plane.svc:8081")["advertise_http"] == "pod.plane.svc:8081"


def test_an_ipv6_address_may_be_given_as_kubernetes_puts_it_together(folder: Path) -> None:
    made = settings(
        folder, http="[::]:8080", peer="[::]:7946", advertise_http="fd00::5:8080", advertise_peer="fd00::5:7946"
    )
    read = processes._read_settings(made)
    assert (read.http, read.peer) == ("[::]:8080", "[::]:7946")
    assert (read.url, read.peer_address) == ("http://[fd00::5]:8080", "[fd00::5]:7946")


def test_allowed_origins_come_from_options_or_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes._read_settings(settings(folder)).allow_origins == ()
    read = processes._read_settings(settings(folder, allow_origin="https://Game.example.com/"))
    assert read.allow_origins == ("https://game.example.com",)
    monkeypatch.setenv("PAIRSIM_ALLOW_ORIGIN", "https://a.example http://localhost:3000")
    assert processes._read_settings(settings(folder)).allow_origins == ("https://a.example", "http://localhost:3000")


@both
@pytest.mark.parametrize("origin", ["*", "null", "game.example.com"])
def test_an_invalid_origin_is_a_usage_error(folder: Path, kind: str, origin: str) -> None:
    code, sentence = refused(kind, folder, allow_origin=origin)
    assert code == 2
    assert "is not an origin" in sentence


@pytest.mark.parametrize(("seconds", "code"), [("0", 2), ("-1", 2), ("inf", 2), ("nan", 1)])
def test_the_checkpoint_interval_must_be_positive_and_finite(folder: Path, seconds: str, code: int) -> None:
    told, sentence = refused("simulator", folder, checkpoint_seconds=seconds)
    assert told == code
    assert "checkpoint_seconds" in sentence.replace("-", "_")


def test_a_witness_has_no_option_for_checkpoints(folder: Path) -> None:
    assert "No such option" in refused("witness", folder, checkpoint_seconds="10")[1]


@both
def test_the_help_shows_the_defaults(kind: str) -> None:
    told = " ".join(pairsim(kind, "--help").stdout.split())
    assert "Address at which the API listens. [default: 127.0.0.1:8081]" in told
    assert "Address at which peers connect. [default: 127.0.0.1:8082]" in told
    assert ("--checkpoint-seconds" in told) == (kind == "simulator")


@both
def test_an_unknown_log_level_is_reported_with_the_known_ones(folder: Path, kind: str) -> None:
    code, told = refused(kind, folder, log_level="loud")
    assert (code, told.splitlines()[-1]) == (2, "Error: unknown log level 'loud': use debug, info, warning or error")


@both
def test_an_simulator_error_data_folder_is_reported(folder: Path, kind: str) -> None:
    assert refused(kind, folder, data=str(folder / "token")) == (
        1,
        f"Error: cannot use the data folder {folder}/token: it is not a folder\n",
    )
    code, sentence = refused(kind, folder, data="/proc/nothing-can-be-made-here")
    assert code == 1
    assert sentence.startswith("Error: cannot use the data folder /proc/nothing-can-be-made-here: ")


@both
def test_a_data_folder_is_for_one_process(folder: Path, kind: str) -> None:
    (folder / "data").mkdir()
    lock = os.open(folder / "data" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert refused(kind, folder) == (1, f"Error: the data folder {folder}/data is in use by another process\n")
    finally:
        os.close(lock)


# --- errors at the start of listening


@contextmanager
def starting(folder: Path, **options: str) -> Iterator[ProcessSettings]:
    """Prepares a process up to its start."""
    with processes._prepared_process(settings(folder, **options)) as made:
        yield made


@pytest.fixture(autouse=True)
def no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the settings of a process from later tests."""
    monkeypatch.setattr(processes.gc, "freeze", lambda: None)
    monkeypatch.setattr(processes.sys, "setswitchinterval", lambda _seconds: None)
    monkeypatch.setattr(processes.logs.structlog, "configure", lambda **_options: None)


def test_a_process_loses_no_line_that_its_simulator_prints(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []
    monkeypatch.setattr(processes, "use_reliable_output", lambda: made.append(True))
    with starting(folder):
        assert made


@pytest.mark.parametrize("option", ["http", "peer"])
def test_a_taken_port_is_reported_with_its_option(folder: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(click.ClickException) as told, starting(folder, **{option: address}) as made:
            socket.create_server(("127.0.0.1", int(getattr(made, option).rpartition(":")[2])))
    assert told.value.message == (
        f"cannot start: {address} is taken by {ME}, which listens at it: give another address with --{option}"
    )


@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::7"])
def test_an_address_of_another_machine_is_reported(folder: Path, host: str) -> None:
    with pytest.raises(click.ClickException) as told, starting(folder, http=f"{host}:8081"):
        listen(host, 8081, backlog=4)
    assert told.value.message == (
        f"cannot start: {host} is not an address of this machine: give another one with --http"
    )


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            socket.gaierror(-2, "Name or service not known"),
            "the host of --http h:1 or --peer 127.0.0.1:8082 is not known",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "[Errno 28] No space left on device"),
        (JournalError("the journal is damaged"), "the journal is damaged"),
    ],
)
def test_other_errors_of_the_start_are_reported(folder: Path, error: Exception, sentence: str) -> None:
    with pytest.raises(click.ClickException) as told, starting(folder, http="h:1"):
        raise error
    assert told.value.message == f"cannot start: {sentence}"


def test_the_lock_on_the_data_folder_is_held_while_the_process_runs(folder: Path) -> None:
    with starting(folder), pytest.raises(click.ClickException, match="in use by another process"), starting(folder):
        pass


def test_a_simulator_that_fails_when_its_area_is_resumed_is_named_in_the_last_line(folder: Path) -> None:
    code = "import pairsim.simulators.physics as p\nclass Mine(p.Physics):\n    def prepare(self):\n        {}['a']\n"
    (folder / "mine.py").write_text(code)
    for module in ("queue", "random", "typing", "click"):
        (folder / f"{module}.py").write_text("raise SystemExit('a file of the current folder replaces a module')")
    resumed = folder / "data" / "areas" / "west" / "assignment.json"
    resumed.parent.mkdir(parents=True)
    mine = msgspec.structs.replace(spec("west"), simulator="mine:Mine", parameters={})
    resumed.write_bytes(
        msgspec.json.encode(msgspec.structs.replace(assignment("sim-1", "sim-2", "witness-1"), spec=mine))
    )
    http, peer = (f"127.0.0.1:{port}" for port in free_ports(2))
    done = subprocess.run(
        [*PAIRSIM, "simulator", *words(folder, http=http, peer=peer)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    *before, last = done.stderr.splitlines()
    assert (done.returncode, last) == (
        1,
        f"Error: cannot start: the simulator mine:Mine raised KeyError: 'a' at {folder}/mine.py:4",
    )
    assert "    {}['a']" in before, "and the traceback stands above it, line by line"
