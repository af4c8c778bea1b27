"""The verdict that stands: a probe beside a world, asked over HTTP."""

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
from tests.process.world.ups import Up, until


@contextmanager
def probed(up: Up) -> Iterator[str]:
    """The address of its verdict."""
    listen = f"127.0.0.1:{free_ports(1)[0]}"
    process = subprocess.Popen([*CHAOS, "probe", "--port", up.port, "--listen", listen], cwd=ROOT)
    try:
        yield f"http://{listen}/verdict"
    finally:
        process.kill()  # in good order it would wait for a world that is gone
        process.wait()


def told(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - its own address
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


def test_it_is_good_once_all_was_looked_at_and_bad_when_the_world_is_gone(tmp_path: Path) -> None:
    up = Up(tmp_path)
    try:
        up.start()
        up.told("the world is ready.*")
        up.whole()
        with probed(up) as url:
            until(lambda: told(url)[0] == 200, "the verdict is good", lambda: told(url))
            assert all(check["held"] for check in told(url)[1]["checks"])
            up.close()
            until(lambda: told(url)[0] == 503, "the verdict is bad", lambda: told(url))
            assert "west" in told(url)[1]["reason"]
    finally:
        up.close()
