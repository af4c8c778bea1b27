"""Selectors and network links of a local world."""

from __future__ import annotations

import random

import msgspec
import pytest

from pairsim_chaos.experiment.faults import NetworkFault, PodFault, PodSelection
from pairsim_chaos.local.network.injection import NetworkLink, links, shape, unsupported_reason
from pairsim_chaos.local.selection import TargetProcess, choose, missing_container, nothing_chosen, unsupported_selector
from pairsim_chaos.local.target import LocalTarget
from pairsim_chaos.target import WorldError


def process(
    name: str, role: str = "", area: str = "", kind: str = "simulator", network: str = "/run/netns/x"
) -> TargetProcess:
    host = f"10.0.0.{ord(name[0])}"
    return TargetProcess(
        name, kind, "physics" if area else "", area, role, f"http://{host}:80", f"{host}:7", 1, network, "/x"
    )


WORLD = [
    process("a", "active", "west"), process("b", "passive", "west"),
    process("c", "active", "east"), process("d", "passive", "east"), process("e", "spare"),
    process("w", kind="witness"),
]  # fmt: skip


def selection(mode: str = "all", value: str = "", **selector: object) -> PodSelection:
    return msgspec.convert({"mode": mode, "value": value, "selector": selector}, PodSelection)


def names(found: tuple[TargetProcess, ...]) -> set[str]:
    return {each.process for each in found}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"labelSelectors": {"pairsim.io/role": "active"}}, {"a", "c"}),
        ({"labelSelectors": {"pairsim.io/role": "active", "pairsim.io/area": "east"}}, {"c"}),
        ({"labelSelectors": {"app.kubernetes.io/component": "witness"}}, {"w"}),
        (
            {"expressionSelectors": [{"key": "pairsim.io/role", "operator": "NotIn", "values": ["active"]}]},
            {"b", "d", "e", "w"},
        ),
        ({"expressionSelectors": [{"key": "pairsim.io/area", "operator": "DoesNotExist"}]}, {"e", "w"}),
        ({"labelSelectors": {"pairsim.io/plane": "damage"}}, set()),
    ],
)
def test_selectors_match_as_in_a_cluster(selector: dict[str, object], expected: set[str]) -> None:
    assert names(choose(selection(**selector), WORLD, random.Random(1))) == expected


@pytest.mark.parametrize(
    ("mode", "value", "least", "most"),
    [("one", "", 1, 1), ("all", "", 5, 5), ("fixed", "3", 3, 3), ("fixed", "9", 5, 5), ("fixed-percent", "50", 3, 3),
     ("random-max-percent", "50", 0, 3)],
)  # fmt: skip
def test_modes_choose_the_number_of_processes(mode: str, value: str, least: int, most: int) -> None:
    rng = random.Random(7)
    simulators = {"labelSelectors": {"app.kubernetes.io/component": "simulator"}}
    counts = {len(choose(selection(mode, value, **simulators), WORLD, rng)) for _ in range(50)}
    assert min(counts) >= least
    assert max(counts) <= most


def test_unsupported_selectors_and_missing_containers_are_reported() -> None:
    assert "nodeSelectors" in unsupported_selector(selection(nodeSelectors={"zone": "a"}))
    assert "pairsim up" in unsupported_selector(selection(labelSelectors={"app.kubernetes.io/component": "controller"}))
    assert unsupported_selector(selection(labelSelectors={"pairsim.io/role": "active"})) == ""
    fault = msgspec.convert(
        {"mode": "one", "selector": {}, "action": "container-kill", "containerNames": ["witness"]}, PodFault
    )
    assert "a has one container, simulator" in missing_container(fault, WORLD)
    assert missing_container(fault, WORLD[-1:]) == ""


def network(**fields: object) -> NetworkFault:
    return msgspec.convert({"mode": "all", "selector": {}, "action": "partition", **fields}, NetworkFault)


def test_links_are_affected_where_packets_leave_in_either_direction() -> None:
    a, b, w = WORLD[0], WORLD[1], WORLD[5]
    assert links(network(direction="to"), [a], [b, w]) == [NetworkLink(a, b.host), NetworkLink(a, w.host)]
    assert links(network(direction="from"), [a], [b]) == [NetworkLink(b, a.host)]
    assert set(links(network(direction="both"), [a], [a, b])) == {NetworkLink(a, b.host), NetworkLink(b, a.host)}


def test_without_a_target_all_packets_are_affected() -> None:
    a = WORLD[0]
    assert links(network(direction="both"), [a], None) == [NetworkLink(a, ""), NetworkLink(a, "", incoming=True)]


def test_the_shape_matches_the_file() -> None:
    assert shape(network()) is None
    made = shape(
        network(action="netem", delay={"latency": "50ms", "jitter": "10ms", "correlation": "25"}, loss={"loss": "12.5"})
    )
    assert made is not None
    assert (made.latency, made.jitter, made.loss, made.correlation) == (0.05, 0.01, 0.125, 0.25)
    narrow = shape(network(action="bandwidth", bandwidth={"rate": "2mbit", "limit": 1000, "buffer": 500}))
    assert narrow is not None
    assert (narrow.rate, narrow.limit) == (250_000.0, 1500)


def test_unsupported_network_faults_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pairsim_chaos.local.network.injection.os.geteuid", lambda: 0)
    monkeypatch.setattr("pairsim_chaos.local.network.injection.shutil.which", lambda tool: tool)
    assert "--isolate" in unsupported_reason(network(), [process("a", network="")])
    assert unsupported_reason(network(), WORLD) == ""
    by_ipv6 = msgspec.structs.replace(process("a"), peer="[fd00::5]:7946")
    assert by_ipv6.host == "fd00::5"
    assert "IPv4" in unsupported_reason(network(), [by_ipv6])
    assert "externalTargets" in unsupported_reason(network(externalTargets=["1.1.1.1"]), WORLD)
    monkeypatch.setattr("pairsim_chaos.local.network.injection.os.geteuid", lambda: 1000)
    assert "root" in unsupported_reason(network(), WORLD)


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        ("nobody", "the selector matches no process of the world"),
        ("spare", "mode random-max-percent chose none of the 1 process that matches: write another mode, or "),
        ("active", "mode random-max-percent chose none of the 2 processes that match: write another mode, or "),
    ],
)
def test_the_reason_of_an_empty_choice_is_the_selector_or_the_mode(role: str, reason: str) -> None:
    chosen = selection("random-max-percent", "50", labelSelectors={"pairsim.io/role": role})
    assert nothing_chosen(chosen, WORLD).startswith(reason)


@pytest.mark.parametrize("role", ["nobody", "active"])
def test_a_fault_that_affects_no_link_is_not_injected(role: str) -> None:
    target = {"mode": "all", "selector": {"labelSelectors": {"pairsim.io/role": role}}}
    selector = {"labelSelectors": {"pairsim.io/role": "active"}}
    cut = {"action": "partition", "mode": "all", "selector": selector, "target": target}
    world = LocalTarget("127.0.0.1", 1, max_duration=1.0, seed=0, injects=False, log=lambda _sentence: None)
    with pytest.raises(WorldError, match=r"^the fault affects no link"):
        world._reversible(msgspec.convert(cut, NetworkFault), WORLD[:1], WORLD[:1], 1.0)
