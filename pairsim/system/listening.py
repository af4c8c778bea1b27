"""Listening sockets, for IPv4 and IPv6 alike."""

from __future__ import annotations

import socket

_EVERY_IPV4 = "0.0.0.0"  # noqa: S104 - the user asked for every address
_EVERY_IPV6 = "::"


def listen(host: str, port: int, *, backlog: int) -> socket.socket:
    """Returns a socket that listens at a host and port.

    The host `::` stands for every address of the machine, IPv4 and IPv6; on a machine without IPv6 these are the IPv4
    addresses. A name with addresses of both kinds means its IPv4 address.

    Args:
        host: A name or an IP address without brackets.
        port: A TCP port; with 0 the system chooses a free one.
        backlog: How many connections may wait to be accepted.

    Raises:
        OSError: The host is not known or not of this machine, or the port is taken. The text has host and port as
            `('host', port)`.
    """
    if host == _EVERY_IPV6:
        if socket.has_dualstack_ipv6():
            return socket.create_server((host, port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
        host = _EVERY_IPV4
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family = socket.AF_INET if any(each[0] == socket.AF_INET for each in found) else socket.AF_INET6
    return socket.create_server((host, port), family=family, backlog=backlog)
