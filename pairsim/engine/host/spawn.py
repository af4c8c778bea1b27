"""The start of an engine's program: its command, its environment, and its file descriptors."""

from __future__ import annotations

import fcntl
import os
import signal
import site
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pairsim.engine.descriptors import NODE_PID, PYTHON_PATH, SEARCH_PATH, WARM_OPTION

_NODES_OWN = ("PAIRSIM_", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONSAFEPATH")
"""Beginnings of the names of variables that an engine does not get: addresses and secrets of the node, among others."""

_ROOT = Path(__file__).parents[3]
"""The folder of the package `pairsim`."""

_LOWEST_SPARE_DESCRIPTOR = 20
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_DEFAULT_SIGNALS = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ,
)  # fmt: skip


def python_engine(*, warm: bool = False) -> list[str]:
    """Returns the command line of the engine for simulators that are Python classes.

    Args:
        warm: Whether the engine loads the libraries that take longest while it waits for an area.
    """
    return [sys.executable, "-P", "-u", "-m", "pairsim.engine", *([WARM_OPTION] if warm else [])]


def program_engine(path: Path) -> list[str]:
    """Returns the command line of an engine that is a program, which ends with its node whatever it does."""
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("tied.py")), str(path)]


def engine_environment(environment: Mapping[str, str], node: int) -> dict[str, str]:
    """Returns the environment of an engine.

    PYTHONPATH, which names the folders of authors, is passed under another name, so that Python finds its own modules
    first; the engine appends the folders.

    Args:
        environment: The environment of the node.
        node: The process id of the node.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith(_NODES_OWN)}
    before = kept.pop("PYTHONPATH", None)
    if before is not None:
        kept[PYTHON_PATH] = before
    root = str(_ROOT)
    kept[SEARCH_PATH] = os.pathsep.join([*(before or "").split(os.pathsep), root]).lstrip(os.pathsep)
    if root not in site.getsitepackages():  # the node may have found pairsim by PYTHONPATH or in the current folder
        kept["PYTHONPATH"] = root
    kept[NODE_PID] = str(node)
    return kept


def spawn(command: Sequence[str], environment: Mapping[str, str], output: int, passed: Mapping[int, int]) -> int:
    """Starts a program in a session of its own and returns its process id.

    Standard input is empty. The kernel may tie the process to the calling thread, so this must outlive it.

    Args:
        command: The command line.
        environment: The whole environment.
        output: The descriptor for standard output and standard error.
        passed: The other descriptors that it gets: the node's descriptor by the program's.

    Raises:
        OSError: The program cannot be started.
    """
    spare = []
    try:
        actions: list[tuple[int, int] | tuple[int, int, int] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, _STDIN, os.devnull, os.O_RDONLY, 0)
        ]
        for wanted, given in {_STDOUT: output, _STDERR: output, **passed}.items():
            spare.append(fcntl.fcntl(given, fcntl.F_DUPFD_CLOEXEC, _LOWEST_SPARE_DESCRIPTOR))
            actions.append((os.POSIX_SPAWN_DUP2, spare[-1], wanted))
        kept = {_STDIN, _STDOUT, _STDERR, *passed}
        actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable() if fd not in kept]
        return os.posix_spawnp(
            command[0], list(command), environment,
            file_actions=actions, setsid=True, setsigmask=(), setsigdef=_DEFAULT_SIGNALS,
        )  # fmt: skip
    finally:
        for fd in spare:
            os.close(fd)


def _inheritable() -> list[int]:
    """Returns the descriptors that a program would inherit; Python opens all of its own so that they are not."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the names are numbers
        try:
            if os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:  # the descriptor of the listing itself
            continue
    return found
