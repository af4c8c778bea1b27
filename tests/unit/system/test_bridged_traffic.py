"""Packets on a bridge are admitted where iptables may drop them, and rules that may drop them are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pairsim.system import bridged_traffic
from pairsim.system.bridged_traffic import BridgeAdmission, blocking_rules, remove_stale

OWN = '-A FORWARD -i ps1 -o ps1 -m comment --comment "pairsim-world-1.2" -j ACCEPT'


class Firewalls:
    """Answers listings with the lines of a chain, and records the changes."""

    def __init__(self, **listings: list[str]) -> None:
        self.listings = listings
        self.changes: list[str] = []

    def run(self, *command: str) -> str | None:
        if "-S" in command:
            name = f"{command[0].replace('-', '_')}_{command[command.index('-t') + 1]}"
            return "\n".join(self.listings[name]) if name in self.listings else None
        if command[0] == "nft":
            return "".join(self.listings.get("nft", [])) or None
        self.changes.append(" ".join(command))
        return ""


@pytest.fixture
def firewalls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Firewalls]:
    def make(setting: str = "1", **listings: list[str]) -> Firewalls:
        made = Firewalls(**listings)
        (tmp_path / "setting").write_text(f"{setting}\n")
        monkeypatch.setattr(bridged_traffic, "_SETTING", tmp_path / "setting")
        monkeypatch.setattr(bridged_traffic, "_run", made.run)
        return made

    return make


@pytest.mark.parametrize(
    ("setting", "chain", "added"),
    [
        ("1", ["-P FORWARD DROP"], True),
        ("1", ["-P FORWARD ACCEPT", "-A FORWARD -j DOCKER-USER"], True),
        ("1", ["-P FORWARD ACCEPT"], False),
        ("0", ["-P FORWARD DROP"], False),
        ("1", [], False),
    ],
)
def test_a_rule_is_added_only_where_packets_may_be_dropped(
    firewalls: Callable[..., Firewalls], setting: str, chain: list[str], added: bool
) -> None:
    made = firewalls(setting, **({"iptables_filter": chain} if chain else {}))
    admission = BridgeAdmission("ps1", "pairsim-world-1.2")
    admission.add()
    admission.add()
    assert admission.added == added
    rule = "FORWARD -i ps1 -o ps1 -m comment --comment pairsim-world-1.2 -j ACCEPT"
    assert made.changes == [f"iptables -w -I {rule}"] * added
    admission.remove()
    admission.remove()
    assert made.changes[1:] == [f"iptables -w -D {rule}"] * added


def test_a_kernel_without_a_bridge_filter_needs_no_rule(
    firewalls: Callable[..., Firewalls], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = firewalls(iptables_filter=["-P FORWARD DROP"])
    monkeypatch.setattr(bridged_traffic, "_SETTING", tmp_path / "missing")
    BridgeAdmission("ps1", "pairsim-world-1.2").add()
    assert made.changes == []


def test_only_stale_rules_of_earlier_runs_are_removed(firewalls: Callable[..., Firewalls]) -> None:
    other = '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD'
    made = firewalls(iptables_filter=["-P FORWARD DROP", OWN.replace("1.2", "3.4"), OWN, other, "-A FORWARD -j DROP"])
    remove_stale(lambda comment: comment == "pairsim-world-1.2")
    assert made.changes == ["iptables -w -D FORWARD -i ps1 -o ps1 -m comment --comment pairsim-world-1.2 -j ACCEPT"]


def test_the_rules_that_may_drop_packets_are_named_once(firewalls: Callable[..., Firewalls]) -> None:
    filtered = ["-P FORWARD DROP", OWN, "-A FORWARD -i docker0 -j ACCEPT"]
    mangled = ["-P FORWARD ACCEPT", "-A FORWARD -j REJECT --reject-with icmp-port-unreachable"]
    chains = (
        '{"nftables": [{"metainfo": {}}, {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": '
        '"forward", "policy": "drop"}}, {"chain": {"family": "inet", "table": "fw", "name": "fwd", "hook": "forward", '
        '"policy": "drop"}}, {"chain": {"family": "inet", "table": "fw", "name": "in", "hook": "input", "policy": '
        '"drop"}}]}'
    )
    firewalls(
        iptables_filter=filtered, iptables_mangle=mangled, iptables_nft_filter=filtered, iptables_nft_mangle=mangled,
        nft=[chains],
    )  # fmt: skip
    others = [
        "`-A FORWARD -j REJECT --reject-with icmp-port-unreachable` in the table mangle of iptables",
        "the policy of `nft list chain inet fw fwd`",
    ]
    assert blocking_rules(admitted=False) == ["`-P FORWARD DROP` in the table filter of iptables", *others]
    assert blocking_rules(admitted=True) == others


def test_without_any_firewall_program_no_rule_is_named(firewalls: Callable[..., Firewalls]) -> None:
    firewalls()
    assert blocking_rules(admitted=False) == []
