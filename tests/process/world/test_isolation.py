"""`pairsim up --isolate`: each process in a network of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairsim_controller.local.netns import NetworkError, NetworkNamespaces, remove_left_overs
from tests.process.world.ups import Up, until

pytestmark = pytest.mark.root


def namespaces() -> set[str]:
    found = json.loads(subprocess.run(["ip", "-json", "netns"], check=True, capture_output=True).stdout or "[]")
    return {each["name"] for each in found}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    try:
        NetworkNamespaces().close()
    except NetworkError as error:
        pytest.skip(str(error))
    one = Up(tmp_path)
    try:
        yield one
    finally:
        one.close()
        remove_left_overs()


def processes(up: Up) -> list[dict[str, str]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/v1/processes", timeout=10) as answer:
        found: list[dict[str, str]] = json.load(answer)
    return found


def test_every_process_has_a_network_of_its_own_and_the_same_address_at_the_next_start(up: Up) -> None:
    up.start("--isolate")
    up.told("the world is ready.*")
    up.whole()
    first = {each["process"]: (each["url"], each["peer"]) for each in processes(up)}
    made = {Path(each["network"]).name for each in processes(up)}
    assert len(made) == len(first) == 4
    assert made <= namespaces()
    up.signal(signal.SIGINT)
    assert up.ended() == 0
    assert not made & namespaces()
    up.start("--isolate")
    up.told("the world is ready.*")
    up.whole()
    assert {each["process"]: (each["url"], each["peer"]) for each in processes(up)} == first


def test_the_networks_of_a_run_that_was_killed_are_taken_away_by_the_next(up: Up) -> None:
    up.start("--isolate")
    up.told("the world is ready.*")
    up.whole()
    made = {Path(each["network"]).name for each in processes(up)}
    pids = up.pids()
    up.signal(signal.SIGKILL)
    up.ended()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids) or None, "its processes have ended")
    assert made <= namespaces()
    remove_left_overs()
    assert not made & namespaces()


def test_a_folder_of_shared_addresses_is_not_isolated_later(up: Up) -> None:
    up.start()
    up.told("the world is ready.*")
    up.whole()
    up.signal(signal.SIGINT)
    assert up.ended() == 0
    before = namespaces()
    up.start("--isolate")
    assert up.ended() == 1
    assert "start them without --isolate, or use another --data folder" in "".join(up.story())
    assert namespaces() == before
