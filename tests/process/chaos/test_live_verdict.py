"""A world with one network: links cannot be cut in it, and a permanent probe of it gives a live verdict over HTTP."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.harness import ROOT, free_ports
from tests.process.chaos.attacked_worlds import CHAOS, EXPERIMENTS, run
from tests.process.world.running_worlds import RunningWorld, until


@contextmanager
def probed(up: RunningWorld) -> Iterator[str]:
    """Yields the address of the verdict of a probe."""
    listen = f"127.0.0.1:{free_ports(1)[0]}"
    process = subprocess.Popen([*CHAOS, "probe", "--port", up.port, "--listen", listen], cwd=ROOT)
    try:
        yield f"http://{listen}/verdict"
    finally:
        process.kill()  # at SIGTERM the probe would wait for the world, which is gone
        process.wait()


def verdict(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the address of the test's own probe
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    up = RunningWorld(tmp_path_factory.mktemp("plain"))
    try:
        up.start()
        up.wait_for("the world is ready.*")
        up.wait_until_redundant()
        yield up
    finally:
        up.close()


def test_links_cannot_be_cut_in_a_world_with_one_network(plain: RunningWorld) -> None:
    code, verdicts, _ = run(plain, str(EXPERIMENTS / "partition-active-all.yaml"))
    assert code == 2
    assert "--isolate" in verdicts["experiments"][0]["refused"]


def test_the_verdict_becomes_good_and_turns_bad_when_the_world_is_gone(plain: RunningWorld) -> None:
    with probed(plain) as url:
        until(lambda: verdict(url)[0] == 200, "the verdict is good", lambda: verdict(url))
        assert all(check["held"] for check in verdict(url)[1]["checks"])
        plain.close()
        until(lambda: verdict(url)[0] == 503, "the verdict is bad", lambda: verdict(url))
        assert "west" in verdict(url)[1]["reason"]
