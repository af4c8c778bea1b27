"""The live verdict of a probe beside a world, read over HTTP."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness import ROOT, free_ports
from tests.process.chaos.worlds import CHAOS
from tests.process.world.running_worlds import RunningWorld, until


@contextmanager
def probed(world: RunningWorld) -> Iterator[str]:
    """Runs a probe and yields the URL of its verdict."""
    listen = f"127.0.0.1:{free_ports(1)[0]}"
    process = subprocess.Popen([*CHAOS, "probe", "--port", world.port, "--listen", listen], cwd=ROOT)
    try:
        yield f"http://{listen}/verdict"
    finally:
        process.kill()  # an orderly stop would wait for a world that has ended
        process.wait()


def read_verdict(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - an address on loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


def test_the_verdict_is_good_once_all_checks_have_run_and_bad_when_the_world_is_gone(tmp_path: Path) -> None:
    world = RunningWorld(tmp_path)
    try:
        world.start()
        world.wait_for("the world is ready.*")
        world.wait_until_redundant()
        with probed(world) as url:
            until(lambda: read_verdict(url)[0] == 200, "the verdict is good", lambda: read_verdict(url))
            assert all(check["held"] for check in read_verdict(url)[1]["checks"])
            world.close()
            until(lambda: read_verdict(url)[0] == 503, "the verdict is bad", lambda: read_verdict(url))
            assert "west" in read_verdict(url)[1]["reason"]
    finally:
        world.close()
