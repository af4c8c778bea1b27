"""IPv4 and IPv6: members with addresses of both families, and Services that lead to an area by either."""

from __future__ import annotations

import ipaddress
import itertools
import json
import time
from collections.abc import Iterator

import pytest

from pairsim.addresses import format_address
from tests.cluster.world import World, endpoints, eventually

pytestmark = pytest.mark.cluster

FAMILIES = {4, 6}
_SPAWN = """
import json, sys, time, urllib.error, urllib.request as u
command = {"id": sys.argv[2], "op": "spawn", "entity": int(sys.argv[2]), "components": {"position": [1, 1, 1]}}
body = json.dumps({"commands": [command]}).encode()
request = u.Request(f"http://{sys.argv[1]}/v1/commands", body, {"Content-Type": "application/json"})
end = time.monotonic() + 20
while True:
    try:
        answer = json.load(u.urlopen(request, timeout=20))
        break
    except urllib.error.URLError as error:  # the rules of a Service follow its endpoints a moment later
        if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > end:
            raise
        time.sleep(0.1)
print(answer["results"][0]["status"])
"""


def family(address: str) -> int:
    """Returns 4 or 6."""
    return ipaddress.ip_address(address).version


def test_an_area_is_linked_and_reached_by_ipv4_and_ipv6(world: World, pair: str) -> None:
    """The pair is on two nodes; where the tests made them, their pods' first addresses are of different families."""
    active, passive = world.role(pair, "active"), world.role(pair, "passive")
    if {family(each) for each in active.addresses} != FAMILIES:
        pytest.skip("the pods of this cluster have addresses of one family")
    services = (pair, f"{pair}-any")
    for service in services:
        assert {family(each) for each in _cluster_ips(world, service)} == FAMILIES
    told = [world.get(pod, "/v1/status") for pod in (active, passive)]
    for status in told:
        peers = dict(zip(status["members"], status["addresses"], strict=True))
        assert [peers[pod.name] for pod in (active, passive)] == [
            format_address(pod.address, 7946) for pod in (active, passive)
        ]
    if world.cluster.name == "native":
        assert {family(pod.address) for pod in (active, passive)} == FAMILIES

    entities = itertools.count(2_000_000_000)
    _reach(world, pair, services, entities)
    at = time.time()
    world.kubectl("delete", "pod", active.name, "--grace-period=0", "--force", "--wait=false")
    world.swapped(pair, at)
    world.redundant(pair)
    now = world.role(pair, "active")
    eventually("the Service leads to the new active", lambda: endpoints(world, pair) == now.addresses, 20)
    _reach(world, pair, services, entities)


def _reach(world: World, name: str, services: tuple[str, ...], entities: Iterator[int]) -> None:
    """Sends a command through each address of the Services, from a pod of another area or a spare."""
    members = {world.role(name, role).name for role in ("active", "passive")}
    sender = next(pod for pod in world.component("simulator") if pod.name not in members)
    for service in services:
        for address in _cluster_ips(world, service):
            words = ("exec", sender.name, "-c", "simulator", "--", "python", "-c", _SPAWN)
            said = world.kubectl(*words, format_address(address, 80), str(next(entities)))
            assert said.strip() == "applied", f"{service} at {address}: {said}"


def _cluster_ips(world: World, service: str) -> list[str]:
    found = json.loads(world.kubectl("get", "service", service, "-o", "json"))
    return list(found["spec"]["clusterIPs"])
