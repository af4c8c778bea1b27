"""`pairsim leave` against a fake process with prepared answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pairsim.cli import main

Answers = Callable[[int], tuple[int, object]]


class _Process:
    """A process that answers the n-th status request by `answers(n)` and records the requests."""

    def __init__(self, answers: Answers, switchover: int = 200) -> None:
        self.asked = 0
        self.switchovers: list[str | None] = []
        self.leaves: list[str | None] = []
        process = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                process.asked += 1
                self._answer(*answers(process.asked))

            def do_POST(self) -> None:
                if self.path == "/v1/leave":
                    process.leaves.append(self.headers["Authorization"])
                    self._answer(404, {"error": "an older process does not know it"})
                    return
                assert self.path == "/v1/switchover"
                process.switchovers.append(self.headers["Authorization"])
                self._answer(switchover, {"gap_ms": 9.0, "term": 2} if switchover == 200 else {"error": "no passive"})

            def _answer(self, code: int, body: object) -> None:
                data = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def process() -> Iterator[Callable[..., _Process]]:
    started: list[_Process] = []

    def start(answers: Answers, **options: int) -> _Process:
        started.append(_Process(answers, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    return path


def leave(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["leave", *map(str, arguments)])


def replica(role: str) -> tuple[int, object]:
    return 200, {"role": role, "area": "" if role == "spare" else "west", "replica": "sim-1", "term": 3}


def test_a_spare_leaves_at_once(process: Callable[..., _Process]) -> None:
    spare = process(lambda _: replica("spare"))
    done = leave("--url", spare.url)
    assert (done.exit_code, spare.asked) == (0, 1)


def test_a_member_waits_until_it_is_replaced(process: Callable[..., _Process], token: Path) -> None:
    roles = ["active", "passive", "joining"]
    member = process(lambda n: replica(roles[n - 1] if n <= len(roles) else "spare"))
    done = leave("--url", member.url, "--token-file", token, "--seconds", 30)
    assert (done.exit_code, member.asked, member.switchovers) == (0, 4, [])
    assert member.leaves == ["Bearer s3cret"]


def test_at_the_deadline_an_active_hands_over(process: Callable[..., _Process], token: Path) -> None:
    active = process(lambda _: replica("active"))
    done = leave("--url", active.url, "--token-file", token, "--seconds", 0.3)
    assert done.exit_code == 1
    assert active.switchovers == ["Bearer s3cret"]
    assert "was active of west, and has handed over" in done.output


def test_at_the_deadline_a_passive_ends_without_a_switchover(process: Callable[..., _Process], token: Path) -> None:
    passive = process(lambda _: replica("passive"))
    done = leave("--url", passive.url, "--token-file", token, "--seconds", 0.3)
    assert (done.exit_code, passive.switchovers) == (1, [])
    assert "is still passive of west" in done.output


@pytest.mark.parametrize("missing", ["token", "file", "passive"])
def test_a_failed_switchover_is_reported(process: Callable[..., _Process], token: Path, missing: str) -> None:
    active = process(lambda _: replica("active"), switchover=503 if missing == "passive" else 200)
    options = {
        "token": [],
        "file": ["--token-file", token.with_name("none")],
        "passive": ["--token-file", token],
    }[missing]
    done = leave("--url", active.url, "--seconds", 0, *options)
    assert done.exit_code == 1
    assert {"token": "--token-file", "file": "No such file", "passive": "503"}[missing] in done.output


def test_a_witness_waits_until_it_serves_no_area(process: Callable[..., _Process]) -> None:
    group = {"area": "west", "generation": 1, "term": 1, "tick": 5, "leader": None, "members": []}
    witness = process(lambda n: (200, {"replica": "w-1", "areas": [group] if n < 3 else []}))
    assert leave("--url", witness.url, "--seconds", 30).exit_code == 0
    assert witness.asked == 3


def test_a_witness_that_was_not_replaced_is_reported_at_the_deadline(process: Callable[..., _Process]) -> None:
    group = {"area": "west", "generation": 1, "term": 1, "tick": 5, "leader": None, "members": []}
    witness = process(lambda _: (200, {"replica": "w-1", "areas": [group]}))
    done = leave("--url", witness.url, "--seconds", 0)
    assert done.exit_code == 1
    assert "is still witness of west" in done.output


def test_a_process_that_answers_with_an_error_is_asked_again(process: Callable[..., _Process]) -> None:
    sick = process(lambda n: (500, {"error": "x"}) if n == 1 else (200, []) if n == 2 else replica("spare"))
    assert leave("--url", sick.url, "--seconds", 30).exit_code == 0
    assert sick.asked == 3


def test_a_process_without_a_valid_answer_is_reported_at_the_deadline(process: Callable[..., _Process]) -> None:
    done = leave("--url", process(lambda _: (500, {})).url, "--seconds", 0.3)
    assert done.exit_code == 1
    assert "does not answer" in done.output


def test_without_a_process_there_is_nothing_to_leave(process: Callable[..., _Process]) -> None:
    gone = process(lambda _: replica("active"))
    gone.close()
    done = leave("--url", gone.url)
    assert done.exit_code == 0
    assert "nothing to leave" in done.output


def test_the_address_must_be_http() -> None:
    assert leave("--url", "file:///etc/passwd").exit_code == 2
