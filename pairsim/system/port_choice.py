"""Ports that stay free while their process restarts.

The kernel gives outgoing connections a port of a range (`ip_local_port_range`), without those that an administrator has
reserved for other purposes (`ip_local_reserved_ports`). Both hold for IPv6 as well. A server whose port is outside of
that range finds it free again after a restart, so long as no other server takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

_SETTINGS = Path("/proc/sys/net/ipv4")
_PREFERRED = range(15_000, 32_000)
"""Ports that few programs listen at, below the kernel's default range for outgoing connections."""
_UNPRIVILEGED = range(1024, 65_536)
_DEFAULT_EPHEMERAL = range(32_768, 61_000)


class PortRanges(msgspec.Struct, frozen=True):
    """The kernel's use of ports.

    Attributes:
        ephemeral: The range of the ports of outgoing connections.
        reserved: The ports that no outgoing connection gets, and that some program may be meant to listen at.
    """

    ephemeral: range = _DEFAULT_EPHEMERAL
    reserved: frozenset[int] = frozenset()

    def port_groups(self) -> tuple[Sequence[int], ...]:
        """Returns groups of ports for servers, the best group first; together they are all unprivileged ports."""
        safe = [port for port in _UNPRIVILEGED if port not in self.ephemeral and port not in self.reserved]
        return (
            [port for port in safe if port in _PREFERRED],
            safe,
            [port for port in _UNPRIVILEGED if port in self.reserved],
            _PREFERRED,
            _UNPRIVILEGED,
        )


def read_port_ranges(settings: Path = _SETTINGS) -> PortRanges:
    """Returns the ranges in force in this network namespace; the kernel's defaults where they cannot be read."""
    try:
        first, last = (settings / "ip_local_port_range").read_text().split()
        ephemeral = range(int(first), int(last) + 1)
        reserved = _parse_ports((settings / "ip_local_reserved_ports").read_text())
    except (OSError, ValueError):
        return PortRanges()
    return PortRanges(ephemeral, reserved)


def _parse_ports(text: str) -> frozenset[int]:
    """Reads ports and ranges such as `8080,9148,15000-15100`."""
    bounds = [part.partition("-") for part in text.strip().split(",") if part]
    return frozenset(port for first, _, last in bounds for port in range(int(first), int(last or first) + 1))
