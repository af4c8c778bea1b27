"""The kernel's queue of packets for user space, over netlink: NFQUEUE (`linux/netfilter/nfnetlink_queue.h`).

Used in place of netem, which many kernels lack; a queue whose reader is gone lets packets pass, so that nothing stays
cut when this process is killed. Sending a message is one `sendto`; what comes is parsed in place.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_NETLINK_NETFILTER, _SOL_NETLINK, _NO_ENOBUFS = 12, 270, 5
_REQUEST, _ACK = 1, 4
_ERROR = 2
_PACKET, _VERDICT, _CONFIG = 0x0300, 0x0301, 0x0302
_BIND = 1
_COPY_PACKET = 2
_ATTR_COMMAND, _ATTR_PARAMETERS, _ATTR_MAXLEN = 1, 2, 3
_ATTR_HEADER, _ATTR_VERDICT, _ATTR_PAYLOAD = 1, 2, 10
_DROP, _ACCEPT = 0, 1
_BUFFER = 8 * 2**20
_QUEUED = 4096
_HEADER = struct.Struct("=IHHII")
_FAMILY = struct.Struct(">BBH")
_ATTRIBUTE = struct.Struct("=HH")


class Packet(NamedTuple):
    """One that waits for its verdict; the payload begins with the header of IPv4."""

    number: int
    payload: bytes


class Queue:
    """One queue of this network namespace, from opening to closing."""

    def __init__(self, number: int) -> None:
        """Binds it.

        Raises:
            OSError: It is in use, or this process may not.
        """
        self._number, self._sequence = number, 0
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self.socket.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
        self.socket.bind((0, 0))
        self.socket.settimeout(5.0)
        self._configure(_attribute(_ATTR_COMMAND, struct.pack(">BBH", _BIND, 0, socket.AF_INET)))
        self._configure(_attribute(_ATTR_PARAMETERS, struct.pack(">IB", 0xFFFF, _COPY_PACKET)))
        self._configure(_attribute(_ATTR_MAXLEN, struct.pack(">I", _QUEUED)))
        self.socket.setblocking(False)

    def fileno(self) -> int:
        """For a selector."""
        return self.socket.fileno()

    def packets(self) -> Iterator[Packet]:
        """All that have come."""
        while True:
            try:
                data = self.socket.recv(2**17)
            except BlockingIOError:
                return
            yield from _parsed(data)

    def accept(self, number: int, payload: bytes | None = None) -> None:
        """Lets a packet go on, with another payload if one is given."""
        body = _attribute(_ATTR_VERDICT, struct.pack(">II", _ACCEPT, number))
        self._send(_VERDICT, body + (_attribute(_ATTR_PAYLOAD, payload) if payload is not None else b""))

    def drop(self, number: int) -> None:
        """Loses a packet."""
        self._send(_VERDICT, _attribute(_ATTR_VERDICT, struct.pack(">II", _DROP, number)))

    def close(self) -> None:
        """Lets go of it; what still waits in it is dropped by the kernel."""
        with contextlib.suppress(OSError):
            self.socket.close()

    def _configure(self, body: bytes) -> None:
        self._send(_CONFIG, body, _REQUEST | _ACK)
        answer = self.socket.recv(2**16)
        (code,) = struct.unpack_from("=i", answer, _HEADER.size)
        if _HEADER.unpack_from(answer)[1] == _ERROR and code:
            raise OSError(-code, errno.errorcode.get(-code, str(code)))

    def _send(self, kind: int, body: bytes, flags: int = _REQUEST) -> None:
        self._sequence += 1
        whole = _FAMILY.pack(socket.AF_UNSPEC, 0, self._number) + body
        self.socket.sendto(_HEADER.pack(_HEADER.size + len(whole), kind, flags, self._sequence, 0) + whole, (0, 0))


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _parsed(data: bytes) -> Iterator[Packet]:
    start = 0
    while start + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, start)
        if length < _HEADER.size:
            return
        if kind == _PACKET:
            yield _packet(data, start + _HEADER.size + _FAMILY.size, start + length)
        start += (length + 3) & ~3


def _packet(data: bytes, place: int, end: int) -> Packet:
    number, payload = 0, b""
    while place + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, place)
        value = data[place + _ATTRIBUTE.size : place + length]
        if kind == _ATTR_HEADER:
            (number,) = struct.unpack_from(">I", value)
        elif kind == _ATTR_PAYLOAD:
            payload = value
        place += max(_ATTRIBUTE.size, (length + 3) & ~3)
    return Packet(number, payload)
