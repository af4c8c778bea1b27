"""The file without a name (memfd_create(2)) that a node and its engine map.

The node makes it and seals its length, so that an engine cannot take away pages under the node.
"""

from __future__ import annotations

import fcntl
import os

_F_ADD_SEALS = 1033
_SEAL_LENGTH = 0x1 | 0x2 | 0x4
"""F_SEAL_SEAL, F_SEAL_SHRINK and F_SEAL_GROW; see fcntl(2)."""


def make_file(name: str, size: int) -> int:
    """Makes a file without a name and returns its descriptor; `seal_length` fixes its length. Raises OSError."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
    except OSError:
        os.close(fd)
        raise
    return fd


def seal_length(fd: int) -> None:
    """Keeps everything that has the file open from changing its length. Raises OSError."""
    fcntl.fcntl(fd, _F_ADD_SEALS, _SEAL_LENGTH)
