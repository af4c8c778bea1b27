"""Local processes in place of pods: started, kept running, and stopped in order.

Like a kubelet, the pool restarts a process that ended, on the same folder and ports, after a growing delay. Whether the
process is then a member again or a spare is decided by the process and its peers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
import sys
from collections.abc import Callable, Iterable, Sequence

import msgspec

from pairsim.system.listening import listen
from pairsim.system.port_choice import read_port_ranges
from pairsim.system.port_users import port_user
from pairsim_controller.local.data_folder import DataFolder
from pairsim_controller.local.netns import NetworkNamespaces
from pairsim_controller.local.process import LocalProcess, ProcessSpec
from pairsim_controller.plan.view import Kind

PAIRSIM = (sys.executable, "-P", "-m", "pairsim")
"""`-P`: `python -m` would search the current folder before the standard library, as it starts already."""
_SPECS_FILE = "pool.json"
_MAX_PORT_ATTEMPTS = 200
"""How many ports of a group are tried."""
_LOG_CHECK_SECONDS = 0.25


class PoolError(Exception):
    """The pool cannot start; the text is a sentence for the user."""


class ProcessPool:
    """All processes of a local world, with the same names and ports at every start.

    Attributes:
        processes: The processes by name.
    """

    def __init__(
        self,
        folder: DataFolder,
        host: str,
        *,
        on_change: Callable[[], None],
        report: Callable[[str], None],
        command: Sequence[str] = PAIRSIM,
        options: Sequence[str] = (),
        networks: NetworkNamespaces | None = None,
    ) -> None:
        """Makes an empty pool.

        Args:
            folder: The world's data folder.
            host: The IP address that all processes share, unless `networks` gives each its own.
            on_change: Called when a process starts or ends.
            report: Receives a sentence when a process ends.
            command: The first words of each process's command line.
            options: Further options at the end of each process's command line.
            networks: A network namespace for each process; None for the machine's network.
        """
        self._command, self._options, self._networks = command, options, networks
        self._folder, self._host, self._on_change, self._report = folder, host, on_change, report
        self.processes: dict[str, LocalProcess] = {}
        self._log_keeper: asyncio.Task[None] | None = None

    def start(self, simulators: int, witnesses: int = 1, *, members: frozenset[str] = frozenset()) -> None:
        """Starts the processes of earlier runs, and new ones up to the given numbers.

        Args:
            simulators: The least number of simulators.
            witnesses: The least number of witnesses.
            members: Names of processes whose peers know their ports. Other processes get new ports if theirs are taken.

        Raises:
            PoolError: The port of a member is taken, no ports are free, or the folder needs another `--isolate`.
            NetworkError: The kernel refuses a network namespace.
            FolderError, OSError: The folder cannot be used.
        """
        specs = {spec.name: spec for spec in self._folder.read(_SPECS_FILE, list[ProcessSpec]) or []}
        if any(bool(spec.host) != bool(self._networks) for spec in specs.values()):
            raise PoolError(
                f"the processes in {self._folder.path} know each other by addresses in"
                f" {'one network' if self._networks else 'networks of their own'}: start them"
                f" {'without' if self._networks else 'with'} --isolate, or use another --data folder"
            )
        for kind, prefix, count in ((Kind.SIMULATOR, "sim", simulators), (Kind.WITNESS, "witness", witnesses)):
            for number in range(1, count + 1):
                name = f"{prefix}-{number}"
                if name not in specs:
                    specs[name] = ProcessSpec(name, kind, *self._free_ports(specs.values()))
        for number, spec in enumerate(list(specs.values())):
            if self._networks is not None:
                specs[spec.name] = msgspec.structs.replace(spec, host=self._networks.host(number))
                continue  # all ports are free in a network of its own
            taken = [port for port in (spec.http_port, spec.peer_port) if not _is_free(self._host, port)]
            if taken and spec.name in members:
                raise PoolError(
                    f"port {taken[0]}, by which the peers of {spec.name} know it, is taken by"
                    f" {port_user(self._host, taken[0])}: stop that program, or use another --data folder"
                )
            if taken:
                specs[spec.name] = ProcessSpec(spec.name, spec.kind, *self._free_ports(specs.values()))
        self._folder.write(_SPECS_FILE, list(specs.values()))
        for number, spec in enumerate(specs.values()):
            process = LocalProcess(
                spec,
                spec.host or self._host,
                self._folder.path,
                on_change=self._on_change,
                report=self._report,
                command=self._command,
                options=self._options,
                network=self._networks.make(spec.name, number) if self._networks else None,
            )
            self.processes[spec.name] = process
            process.start()
        self._log_keeper = asyncio.create_task(self._keep_logs_short(), name="keep-logs-short")

    def _free_ports(self, specs: Iterable[ProcessSpec]) -> tuple[int, int]:
        """Returns two free ports.

        They are outside the kernel's range for outgoing connections, unless that has all ports, so they stay free
        while their process restarts.
        """
        reserved = {port for spec in specs for port in (spec.http_port, spec.peer_port)}
        found: list[int] = []
        for group in read_port_ranges().port_groups():
            for port in random.sample(group, min(len(group), _MAX_PORT_ATTEMPTS)):
                if port not in reserved and _is_free(self._host, port):
                    found.append(port)
                    reserved.add(port)
                if len(found) == 2:
                    return found[0], found[1]
        raise PoolError(f"no free ports at {self._host}: is it this machine's address?")

    def kill(self) -> None:
        """Sends SIGKILL to all processes, which are not started again."""
        for process in self.processes.values():
            process.kill_for_good()

    async def stop(self, last: frozenset[str], timeout: float = 10.0) -> None:  # noqa: ASYNC109 - ends in SIGKILL
        """Stops all processes, each by SIGKILL after `timeout` seconds.

        The actives (`last`) stop after the others, so that no passive takes over from an active that stops.
        """
        for process in self.processes.values():
            process.stop_restarting()
        for names in (self.processes.keys() - last, last & self.processes.keys()):
            await asyncio.gather(*(self.processes[name].stop(timeout) for name in names))
        if self._log_keeper is not None:
            self._log_keeper.cancel()
            await asyncio.gather(self._log_keeper, return_exceptions=True)

    async def _keep_logs_short(self) -> None:
        while True:
            for process in self.processes.values():
                if process.log.is_long():
                    with contextlib.suppress(OSError):
                        await asyncio.to_thread(process.log.cut)
            await asyncio.sleep(_LOG_CHECK_SECONDS)


def recorded_network(folder: DataFolder) -> str:
    """Returns the network (a /24) of the processes in a data folder; empty if they share the machine's network.

    Raises:
        FolderError: The folder cannot be read.
    """
    for spec in folder.read(_SPECS_FILE, list[ProcessSpec]) or []:
        if spec.host:
            return str(ipaddress.IPv4Network(f"{spec.host}/24", strict=False))
    return ""


def _is_free(host: str, port: int) -> bool:
    try:
        with listen(host, port, backlog=1):
            return True
    except OSError:
        return False
