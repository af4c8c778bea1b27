from __future__ import annotations

from pathlib import Path

import pytest

from pairsim.system.port_choice import PortRanges, read_port_ranges


def settings(folder: Path, ephemeral: str, reserved: str = "\n") -> PortRanges:
    (folder / "ip_local_port_range").write_text(ephemeral)
    (folder / "ip_local_reserved_ports").write_text(reserved)
    return read_port_ranges(folder)


def test_the_ranges_in_force_are_read(tmp_path: Path) -> None:
    assert settings(tmp_path, "16000\t65535\n", "8080,15000-15002\n") == PortRanges(
        range(16_000, 65_536), frozenset({8080, 15_000, 15_001, 15_002})
    )
    assert read_port_ranges(tmp_path / "nowhere").ephemeral == range(32_768, 61_000)


@pytest.mark.parametrize("ephemeral", ["32768 60999", "16000 65535", "10000 65535", "1024 20000"])
def test_the_best_ports_are_neither_ephemeral_nor_reserved(tmp_path: Path, ephemeral: str) -> None:
    ranges = settings(tmp_path, ephemeral, "15500-15999,31000-32000,2000")
    best = next(group for group in ranges.port_groups() if group)
    assert not set(best) & set(ranges.ephemeral)
    assert not set(best) & ranges.reserved
    assert all(1024 <= port < 65_536 for port in best)


def test_reserved_ports_are_better_than_ephemeral_ones(tmp_path: Path) -> None:
    ranges = settings(tmp_path, "1024 65535", "15000-15009")
    assert list(next(group for group in ranges.port_groups() if group)) == list(range(15_000, 15_010))


def test_ports_remain_where_all_are_ephemeral(tmp_path: Path) -> None:
    assert len(next(group for group in settings(tmp_path, "1024 65535").port_groups() if group)) > 10_000
