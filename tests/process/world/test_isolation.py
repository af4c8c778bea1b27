"""`pairsim up --isolate` gives each process its own network."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairsim_controller.local.netns import NetworkError, NetworkNamespaces, remove_leftovers
from tests.process.world.running_worlds import RunningWorld, until

pytestmark = pytest.mark.root


def namespaces() -> set[str]:
    found = json.loads(subprocess.run(["ip", "-json", "netns"], check=True, capture_output=True).stdout or "[]")
    return {each["name"] for each in found}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    """An isolated world; each test continues where the one before ended."""
    try:
        NetworkNamespaces().close()
    except NetworkError as error:
        pytest.skip(str(error))
    one = RunningWorld(tmp_path_factory.mktemp("isolated"))
    try:
        one.start("--isolate")
        one.wait_for("the world is ready.*")
        one.wait_until_redundant()
        yield one
    finally:
        one.close()
        remove_leftovers()


def processes(world: RunningWorld) -> list[dict[str, str]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{world.port}/v1/processes", timeout=10) as answer:
        found: list[dict[str, str]] = json.load(answer)
    return found


def test_every_process_has_its_own_network_and_keeps_its_address(world: RunningWorld) -> None:
    first = {each["process"]: (each["url"], each["peer"]) for each in processes(world)}
    made = {Path(each["network"]).name for each in processes(world)}
    assert len(made) == len(first) == 4
    assert made <= namespaces()
    world.signal(signal.SIGINT)
    assert world.wait_for_exit() == 0
    assert not made & namespaces()
    world.start("--isolate")
    world.wait_for("the world is ready.*")
    world.wait_until_redundant()
    assert {each["process"]: (each["url"], each["peer"]) for each in processes(world)} == first


def test_the_networks_of_a_killed_run_are_removed(world: RunningWorld) -> None:
    made = {Path(each["network"]).name for each in processes(world)}
    pids = world.pids()
    world.signal(signal.SIGKILL)
    world.wait_for_exit()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids) or None, "its processes have ended")
    assert made <= namespaces()
    remove_leftovers()
    assert not made & namespaces()


def test_a_folder_of_a_shared_network_cannot_be_isolated_later(world: RunningWorld, tmp_path: Path) -> None:
    """It needs the rights that `world` checks."""
    shared = RunningWorld(tmp_path)
    try:
        shared.start()
        shared.wait_for("west: founded.*")
        shared.signal(signal.SIGINT)
        assert shared.wait_for_exit() == 0
        before = namespaces()
        shared.start("--isolate")
        assert shared.wait_for_exit() == 1
    finally:
        shared.close()
    assert "start them without --isolate, or use another --data folder" in "".join(shared.output())
    assert namespaces() == before


# --- firewalls that drop the packets on bridges

PAIR = """
import os, sys
from pairsim_controller.local import netns
from pairsim_controller.local.netns import NetworkError, NetworkNamespaces
if "refused" in sys.argv:
    netns.connects = lambda *_: False
made = NetworkNamespaces()
try:
    made.make("a", 0), made.make("b", 1)
    print("connected", flush=True)
    if "killed" in sys.argv:
        os._exit(0)
except NetworkError as error:
    print(error)
finally:
    made.close()
"""


def behind_a_firewall(*runs: str) -> list[str]:
    """Makes two namespaces once per run on a machine that drops forwarded packets; returns output and last rules."""
    if not Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists() or shutil.which("iptables") is None:
        pytest.skip("bridges do not go through iptables here")
    begin = "sysctl -qw net.bridge.bridge-nf-call-iptables=1 && iptables -P FORWARD DROP"
    each = "; ".join(f"{shlex.join([sys.executable, '-c', PAIR, run])}" for run in runs)
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", f"{begin} && {{ {each}; }} && iptables -S FORWARD"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_firewall_that_drops_forwarded_packets_is_passed_by_a_rule_that_goes_with_the_world() -> None:
    assert behind_a_firewall("") == ["connected", "-P FORWARD DROP"]


def test_the_rule_of_a_killed_run_is_removed_by_the_next_one() -> None:
    output = behind_a_firewall("killed")
    assert output[:2] == ["connected", "-P FORWARD DROP"]
    assert " --comment " in output[2]
    remove_leftovers()
    assert behind_a_firewall("killed", "") == ["connected", "connected", "-P FORWARD DROP"]


def test_a_firewall_that_cannot_be_passed_is_refused_with_its_rule() -> None:
    sentence, *rules = behind_a_firewall("refused")
    assert sentence.startswith("--isolate does not work here: a firewall of this machine drops the packets")
    assert rules == ["-P FORWARD DROP"]
