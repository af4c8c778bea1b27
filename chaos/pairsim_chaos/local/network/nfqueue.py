"""The kernel's queue of packets for user space, over netlink: NFQUEUE (`linux/netfilter/nfnetlink_queue.h`).

The queue replaces netem, which many kernels lack. Packets pass freely when the reader of a queue is gone, so that
links recover when this process is killed. A message is sent with one `sendto`; received messages are parsed in place.
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
_SOCKET_BUFFER_BYTES = 8 * 2**20
_MAX_QUEUED_PACKETS = 4096
_HEADER = struct.Struct("=IHHII")
_FAMILY = struct.Struct(">BBH")
_ATTRIBUTE = struct.Struct("=HH")


class Packet(NamedTuple):
    """A packet that waits for its verdict; the payload starts with the IPv4 header."""

    number: int
    payload: bytes


class PacketQueue:
    """An open queue of this network namespace."""

    def __init__(self, number: int) -> None:
        """Opens the queue with this number.

        Raises:
            OSError: The queue is in use, or this process lacks the permission.
        """
        self._number, self._sequence = number, 0
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
        self.socket.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
        self.socket.bind((0, 0))
        self.socket.settimeout(5.0)
        self._configure(_attribute(_ATTR_COMMAND, struct.pack(">BBH", _BIND, 0, socket.AF_INET)))
        self._configure(_attribute(_ATTR_PARAMETERS, struct.pack(">IB", 0xFFFF, _COPY_PACKET)))
        self._configure(_attribute(_ATTR_MAXLEN, struct.pack(">I", _MAX_QUEUED_PACKETS)))
        self.socket.setblocking(False)

    def fileno(self) -> int:
        """Returns the file descriptor for `select`."""
        return self.socket.fileno()

    def packets(self) -> Iterator[Packet]:
        """Yields all packets that have arrived."""
        while True:
            try:
                data = self.socket.recv(2**17)
            except BlockingIOError:
                return
            yield from _parse(data)

    def accept(self, number: int, payload: bytes | None = None) -> None:
        """Lets a packet pass, with a reoffsetd payload if one is given."""
        body = _attribute(_ATTR_VERDICT, struct.pack(">II", _ACCEPT, number))
        self._send(_VERDICT, body + (_attribute(_ATTR_PAYLOAD, payload) if payload is not None else b""))

    def drop(self, number: int) -> None:
        """Drops a packet."""
        self._send(_VERDICT, _attribute(_ATTR_VERDICT, struct.pack(">II", _DROP, number)))

    def close(self) -> None:
        """Closes the queue; the kernel drops the packets that still wait in it."""
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
        message = _FAMILY.pack(socket.AF_UNSPEC, 0, self._number) + body
        self.socket.sendto(_HEADER.pack(_HEADER.size + len(message), kind, flags, self._sequence, 0) + message, (0, 0))


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _parse(data: bytes) -> Iterator[Packet]:
    start = 0
    while start + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, start)
        if length < _HEADER.size:
            return
        if kind == _PACKET:
            yield _parse_packet(data, start + _HEADER.size + _FAMILY.size, start + length)
        start += (length + 3) & ~3


def _parse_packet(data: bytes, offset: int, end: int) -> Packet:
    number, payload = 0, b""
    while offset + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        value = data[offset + _ATTRIBUTE.size : offset + length]
        if kind == _ATTR_HEADER:
            (number,) = struct.unpack_from(">I", value)
        elif kind == _ATTR_PAYLOAD:
            payload = value
        offset += max(_ATTRIBUTE.size, (length + 3) & ~3)
    return Packet(number, payload)
