"""The model of a bad link, packet by packet."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairsim_chaos.local.network.shape_model import PacketFate, Shape, Shaper, flip_bit

SHARES = st.floats(0, 1)


def shaper(**shape: float) -> Shaper:
    return Shaper(Shape(**shape), random.Random(1))  # type: ignore[arg-type]


def test_a_link_without_a_shape_passes_packets_at_once() -> None:
    assert shaper().fate(5.0, 1500) == PacketFate(5.0)


def test_delays_are_within_the_latency_and_the_jitter() -> None:
    link = shaper(latency=0.05, jitter=0.01)
    late = [(link.fate(now, 100).release or 0) - now for now in range(500)]
    assert 0.04 <= min(late) < 0.042
    assert 0.058 < max(late) <= 0.06


@pytest.mark.parametrize("correlation", [0.0, 0.25])
def test_shares_of_packets_are_affected(correlation: float) -> None:
    link = shaper(loss=0.2, correlation=correlation)
    lost = sum(link.fate(0, 100).release is None for _ in range(5000)) / 5000
    assert 0.1 < lost < 0.23
    other = shaper(duplicate=0.3, corrupt=0.5)
    fates = [other.fate(0, 100) for _ in range(5000)]
    assert 0.27 < sum(fate.twice for fate in fates) / 5000 < 0.33
    assert 0.47 < sum(fate.corrupt for fate in fates) / 5000 < 0.53


def test_a_narrow_link_passes_bytes_at_its_rate_and_drops_the_excess() -> None:
    link = shaper(rate=1000.0, limit=3000)
    releases = [link.fate(0.0, 1000).release for _ in range(4)]
    assert releases == [1.0, 2.0, 3.0, None]
    assert link.fate(10.0, 500).release == 10.5


@given(SHARES, SHARES, SHARES, SHARES, st.floats(0, 1), st.lists(st.floats(0, 100), max_size=30))
def test_packets_never_pass_before_they_arrive(
    loss: float, duplicate: float, correlation: float, latency: float, jitter: float, times: list[float]
) -> None:
    link = shaper(loss=loss, duplicate=duplicate, correlation=correlation, latency=latency, jitter=jitter)
    for now in sorted(times):
        release = link.fate(now, 100).release
        assert release is None or release >= now


@given(st.binary(min_size=20, max_size=100))
def test_one_bit_behind_the_header_is_flipped(packet: bytes) -> None:
    packet = b"\x45" + packet[1:]
    changed = flip_bit(packet, random.Random(1))
    assert changed[:20] == packet[:20]
    bits = sum((a ^ b).bit_count() for a, b in zip(packet, changed, strict=True))
    assert bits == (1 if len(packet) > 20 else 0)
