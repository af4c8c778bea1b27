"""Names are resolved, and a hanging name server delays no caller beyond its deadline."""

from __future__ import annotations

import socket
import threading
from unittest.mock import Mock

import pytest

from pairsim.replication.transport import sockets
from pairsim.replication.transport.sockets import Deadline, PeerError, connect
from tests.unit.replication.transport.peers import TIMEOUT_SECONDS, listening, until


def test_an_invalid_address_is_reported() -> None:
    with pytest.raises(PeerError, match="'host' is not HOST:PORT with a port of 0 to 65535"):
        connect("host", Deadline(TIMEOUT_SECONDS))


def test_a_hanging_name_server_delays_no_caller_and_costs_one_thread_and_file(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup, release, asked = sockets._lookup, threading.Event(), []

    def hang(host: str, port: int, flags: int) -> list[sockets.Target]:
        if not flags:
            asked.append(host)
            release.wait(TIMEOUT_SECONDS)
        return lookup("127.0.0.1" if not flags else host, port, flags)

    monkeypatch.setattr(sockets, "_lookup", hang)
    monkeypatch.setattr(sockets, "Wakeup", wakeups := Mock(side_effect=sockets.Wakeup))
    for _attempt in range(3):
        with pytest.raises(PeerError, match=r"the name peer\.example was not resolved in time"):
            connect("peer.example:80", Deadline(0.02))
    assert asked == ["peer.example"]
    assert wakeups.call_count == 1
    release.set()
    until(lambda: not sockets._resolver._running)


def test_a_name_is_resolved() -> None:
    with listening() as port:
        connect(f"localhost:{port.port.address.rpartition(':')[2]}", Deadline(TIMEOUT_SECONDS)).close()


def test_a_name_that_cannot_be_resolved_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> list[sockets.Target]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(sockets, "_lookup", fail)
    with pytest.raises(PeerError, match=r"the name peer\.example cannot be resolved: .*not known"):
        connect("peer.example:80", Deadline(TIMEOUT_SECONDS))
    until(lambda: not sockets._resolver._running)
