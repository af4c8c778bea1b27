"""Local processes in place of pods: started, kept running, stopped in order.

Like a kubelet, the pool restarts a process that died where it was, on the same folder and ports, with a growing
pause. What the process then is, a member again or a spare, is between it and its peers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
import sys
from collections.abc import Callable, Iterable, Sequence

import msgspec

from pairsim_controller.local.data_folder import DataFolder
from pairsim_controller.local.netns import Networks
from pairsim_controller.local.process import LocalProcess, Slot
from pairsim_controller.plan.view import Kind

PAIRSIM = (sys.executable, "-m", "pairsim")
_SLOTS = "pool.json"
_PORTS = range(15_000, 32_000)
"""Below the range that the kernel gives to outgoing connections."""
_ATTEMPTS = 200


class PoolError(Exception):
    """The pool cannot start; a sentence for the user."""


class Pool:
    """All processes of a local world, with the same names and ports at every start."""

    def __init__(
        self,
        folder: DataFolder,
        host: str,
        *,
        changed: Callable[[], None],
        story: Callable[[str], None],
        command: Sequence[str] = PAIRSIM,
        networks: Networks | None = None,
    ) -> None:
        """`changed` is called when a process starts or ends, `story` told of it; `command` is what is started.

        With `networks` each process gets one of its own, else all share `host`.
        """
        self._command, self._networks = command, networks
        self._folder, self._host, self._changed, self._story = folder, host, changed, story
        self.processes: dict[str, LocalProcess] = {}

    def start(self, simulators: int, witnesses: int = 1, *, members: frozenset[str] = frozenset()) -> None:
        """Starts what was there before, and as many more as it takes.

        A process that is no member of anything gets other ports if its own are taken; peers know the `members` by
        theirs.

        Raises:
            PoolError: A port that a member is known under is taken.
            NetworkError: The kernel gives no networks of their own.
            FolderError, OSError: The folder cannot be used.
        """
        slots = {slot.name: slot for slot in self._folder.read(_SLOTS, list[Slot]) or []}
        if any(bool(slot.host) != bool(self._networks) for slot in slots.values()):
            raise PoolError(
                f"the processes in {self._folder.path} are known to each other in"
                f" {'one network' if self._networks else 'networks of their own'}: start them"
                f" {'without' if self._networks else 'with'} --isolate, or use another --data folder"
            )
        for kind, prefix, count in ((Kind.SIMULATOR, "sim", simulators), (Kind.WITNESS, "witness", witnesses)):
            for number in range(1, count + 1):
                name = f"{prefix}-{number}"
                if name not in slots:
                    slots[name] = Slot(name, kind, *self._free_ports(slots.values()))
        for number, slot in enumerate(list(slots.values())):
            if self._networks is not None:
                slots[slot.name] = msgspec.structs.replace(slot, host=self._networks.host(number))
                continue  # nobody else is in its network
            taken = [port for port in (slot.http_port, slot.peer_port) if not _is_free(self._host, port)]
            if taken and slot.name in members:
                raise PoolError(
                    f"port {taken[0]}, under which {slot.name} is known to its peers, is taken by another program:"
                    " stop that one, or use another --data folder"
                )
            if taken:
                slots[slot.name] = Slot(slot.name, slot.kind, *self._free_ports(slots.values()))
        self._folder.write(_SLOTS, list(slots.values()))
        for number, slot in enumerate(slots.values()):
            process = LocalProcess(
                slot,
                slot.host or self._host,
                self._folder.path,
                changed=self._changed,
                story=self._story,
                command=self._command,
                network=self._networks.make(slot.name, number) if self._networks else None,
            )
            self.processes[slot.name] = process
            process.start()

    def _free_ports(self, slots: Iterable[Slot]) -> tuple[int, int]:
        """Two ports that nobody listens at, nor is given for an outgoing connection while their process restarts."""
        promised = {port for slot in slots for port in (slot.http_port, slot.peer_port)}
        found: list[int] = []
        for port in random.sample(_PORTS, _ATTEMPTS):
            if port not in promised and _is_free(self._host, port):
                found.append(port)
            if len(found) == 2:
                return found[0], found[1]
        raise PoolError(
            f"no free ports at {self._host} between {_PORTS.start} and {_PORTS.stop}: is it this machine's address?"
        )

    def kill(self) -> None:
        """Kill -9 for all, for good."""
        for process in self.processes.values():
            process.give_up()

    async def stop(self, last: frozenset[str], patience: float = 10.0) -> None:
        """Stops everything; the actives (`last`) after the others, so that nobody takes over from one that stops."""
        for names in (self.processes.keys() - last, last & self.processes.keys()):
            await asyncio.gather(*(self.processes[name].stop(patience) for name in names))


def known_net(folder: DataFolder) -> str:
    """The network that the processes of a data folder have their own ones in; empty if they have none.

    Raises:
        FolderError: The folder cannot be read.
    """
    for slot in folder.read(_SLOTS, list[Slot]) or []:
        if slot.host:
            return str(ipaddress.IPv4Network(f"{slot.host}/24", strict=False))
    return ""


def _is_free(host: str, port: int) -> bool:
    try:
        with socket.create_server((host, port)):
            return True
    except OSError:
        return False
