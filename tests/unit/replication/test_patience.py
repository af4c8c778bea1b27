"""A member waits longer while it, or a peer, waits for a processor, and as before when that is over."""

from __future__ import annotations

import pytest

from pairsim.replication.patience import Patience
from pairsim.replication.raft.messages import Ping, decode_message, encode_message


class Waits:
    """A process that waited for a processor during a given part of each pause."""

    def __init__(self, share: float) -> None:
        self.share, self.now = share, 0.0

    def since(self, then: float) -> float:
        return self.share * (self.now - then)

    def keep_current(self, now: float) -> None:
        self.now = now


def late(patience: Patience, waits: Waits, now: float, seconds: float) -> None:
    waits.now = now
    patience.on_turn(now, now - seconds)


def test_a_turn_in_time_costs_no_patience() -> None:
    waits = Waits(1.0)
    patience = Patience(waits)
    late(patience, waits, 100.0, 0.001)
    late(patience, waits, 100.1, -0.2)
    assert patience.seconds([]) == 0.0


def test_a_late_turn_of_a_starved_process_counts_for_a_while() -> None:
    waits = Waits(1.0)
    patience = Patience(waits)
    late(patience, waits, 100.0, 0.3)
    assert patience.seconds([]) == pytest.approx(1.2)
    for now in (114.0, 116.0, 128.0):
        late(patience, waits, now, 0.0)
        assert patience.seconds([]) == pytest.approx(1.2), "it counts for at least one window"
    late(patience, waits, 146.0, 0.0)
    assert patience.seconds([]) == 0.0


def test_a_wait_before_a_long_pause_is_forgotten() -> None:
    waits = Waits(1.0)
    patience = Patience(waits)
    late(patience, waits, 100.0, 0.3)
    late(patience, waits, 1000.0, 0.0)
    assert patience.seconds([]) == 0.0


def test_a_stopped_process_did_not_wait_for_a_processor() -> None:
    waits = Waits(0.01)
    patience = Patience(waits)
    late(patience, waits, 100.0, 1.0)
    assert patience.seconds([]) == 0.0


def test_the_wait_of_a_peer_counts_and_is_bounded() -> None:
    patience = Patience(Waits(1.0))
    assert patience.seconds([0.0, 0.1]) == pytest.approx(0.4)
    assert patience.seconds([1e9]) == 2.5


def test_a_ping_of_an_earlier_version_tells_of_no_wait() -> None:
    ping = Ping(quarantined=False, incarnation=1, founders={}, capable=True, starved=0.25)
    assert decode_message(encode_message(ping)) == ping
    earlier = {"type": "ping", "quarantined": False, "incarnation": 1, "founders": {}, "capable": True}
    decoded = decode_message(encode_message(earlier))
    assert isinstance(decoded, Ping)
    assert decoded.starved == 0.0
