"""A library that shifts the clocks of a process while it runs, as chaos tools shift the clocks of a container.

It changes what the C library tells. The kernel's own clocks, which end waits, stay as they are: a wait until a time
that a shifted clock told lasts minutes.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

_SOURCE = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile long *shift;

__attribute__((constructor)) static void find_shift(void) {
    const char *path = getenv("SHIFT_FILE");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file >= 0) {
        void *mapped = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
        shift = mapped == MAP_FAILED ? 0 : mapped;
    }
}

int clock_gettime(clockid_t id, struct timespec *time) {
    int failed = (int)syscall(SYS_clock_gettime, id, time);
    if (!failed && shift && (id == CLOCK_REALTIME || id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_RAW))
        time->tv_sec += *shift;
    return failed;
}
"""


class ShiftedClocks:
    """The clocks of one process.

    Attributes:
        environment: What the process needs in its environment.
    """

    def __init__(self, library: Path, file: Path) -> None:
        """Starts without a shift; `file` holds the shift."""
        self._file = file
        self._file.write_bytes(struct.pack("l", 0))
        self.environment = {"LD_PRELOAD": str(library), "SHIFT_FILE": str(file)}

    def shift(self, seconds: int) -> None:
        """Makes the clocks differ by so many seconds from the true ones."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("l", seconds))


def build(folder: Path) -> Path:
    """Builds the library in a folder; skips the test without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (apt-get install gcc libc6-dev), which builds the library that shifts clocks")
    source, library = folder / "clocks.c", folder / "clocks.so"
    source.write_text(_SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return library
