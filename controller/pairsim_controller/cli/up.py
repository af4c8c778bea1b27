"""The command `pairsim up`: a whole world on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

import click
import structlog

from pairsim.addresses import format_address, http_url, is_wildcard, parse_host
from pairsim.cli.local_api import HOST, PORT
from pairsim.logs import STDERR
from pairsim.model.area import AreaSpec
from pairsim.server.http.listener import serve_app
from pairsim.server.http.origins import AccessRules, parse_origin
from pairsim.system.inherited_signals import accepted_stop_signals, restore_child_reports
from pairsim.system.listening import listen
from pairsim.system.memory import read_memory
from pairsim.system.output import print_line, use_reliable_output
from pairsim.system.port_users import port_user
from pairsim.wording import counted
from pairsim_controller.cli.progress import ReadinessReporter
from pairsim_controller.cli.world_file import WorldFile, area_schema, memory_error, read_world
from pairsim_controller.local.api import world_app
from pairsim_controller.local.data_folder import DataFolder, FolderError
from pairsim_controller.local.netns import NetworkError, NetworkNamespaces
from pairsim_controller.local.process_pool import PoolError, ProcessPool, recorded_network
from pairsim_controller.local.world import LocalWorld
from pairsim_controller.local.world_status import world_status
from pairsim_controller.story.entry import HistoryEntry
from pairsim_controller.story.history import History
from pairsim_controller.story.history_file import HistoryFile
from pairsim_controller.timestamps import time_of_day

_FIRST_UNPRIVILEGED_PORT = 1024
_HISTORY_FILE = "history.jsonl"


def _origins(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(map(parse_origin, values))
    except ValueError as error:
        raise click.BadParameter(f"{error}.", ctx, param) from None


@click.command()
@click.argument("world_file", type=click.Path(path_type=Path), metavar="WORLD.yaml")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("world-data"), show_default=True,
    help="Folder with the world's state; another `up` on the same folder continues from there.",
)  # fmt: skip
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=PORT,
    show_default=True,
    help="Port of the world's own API and of its console.",
)
@click.option("--host", default=HOST, show_default=True, help="IP address that all processes listen at.")
@click.option(
    "--allow-origin", "allow_origins", multiple=True, envvar="PAIRSIM_ALLOW_ORIGIN", callback=_origins,
    metavar="ORIGIN", help="Origin whose web pages may use the simulators' API: http://localhost:3000; repeatable.",
)  # fmt: skip
@click.option(
    "--spares", type=click.IntRange(min=0), default=1, show_default=True, help="Simulators beyond two per area."
)
@click.option(
    "--isolate", is_flag=True, help="Runs each process in its own network, so that links can be cut; needs root."
)
@click.option(
    "--release",
    is_flag=True,
    help="Releases areas that are no longer in the file; backups/ keeps their last state.",
)
def up(
    world_file: Path,
    data: Path,
    port: int,
    host: str,
    allow_origins: tuple[str, ...],
    spares: int,
    isolate: bool,
    release: bool,
) -> None:
    """Runs a whole world on this machine.

    Starts the simulators, a witness, and the controller that keeps every area a pair.
    """
    use_reliable_output()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.WriteLoggerFactory(STDERR),
    )
    if not parse_host(host) or is_wildcard(host):
        raise click.UsageError(f"--host {host}: give one IP address, since the processes connect to each other by it")
    host = parse_host(host)
    content = read_world(world_file)
    areas = content.areas
    try:
        if not data.exists():  # an existing folder is locked first: another `up` on it is the more likely reason
            _check_address(host, port)
            _check_memory(areas)
        folder = DataFolder(data)
        folder.check(areas, release=release)
        recorded = folder.assignments()
        _check_memory(spec for spec in areas if spec.area not in recorded)
        for assignment in recorded.values():
            if (schema := area_schema(assignment.spec)) is not None:
                folder.check_schema(assignment.spec, schema)
        with contextlib.ExitStack() as stack:
            networks: NetworkNamespaces | None = None
            if isolate:
                networks = stack.enter_context(contextlib.closing(NetworkNamespaces(recorded_network(folder))))
            asyncio.run(_run(content, folder, port, host, allow_origins, spares, networks))
    except OSError as error:
        raise click.ClickException(_os_error_message(error, host, port)) from error
    except (FolderError, PoolError, NetworkError) as error:
        raise click.ClickException(str(error)) from error


def _check_address(host: str, port: int) -> None:
    """Raises OSError if a server cannot listen there: a mistyped address must not leave a data folder behind."""
    listen(host, port, backlog=1).close()


def _check_memory(areas: Iterable[AreaSpec]) -> None:
    """Refuses new areas whose states cannot fit into the memory of this machine. Raises ClickException."""
    memory = read_memory()
    if memory is not None and (reason := memory_error(areas, memory.limit)):
        raise click.ClickException(reason)


def _os_error_message(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken by {port_user(host, port)}: give another one with --port"
    if isinstance(error, PermissionError) and port < _FIRST_UNPRIVILEGED_PORT:
        return f"port {port} needs root: give one of {_FIRST_UNPRIVILEGED_PORT} or above with --port"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host} is not an address of this machine"
    return f"cannot start the world: {error.strerror or error}"


async def _run(
    content: WorldFile,
    folder: DataFolder,
    port: int,
    host: str,
    allow_origins: tuple[str, ...],
    spares: int,
    networks: NetworkNamespaces | None,
) -> None:
    areas = content.areas
    restore_child_reports()
    file = HistoryFile(folder.path / _HISTORY_FILE)
    history = History(file.read())
    history.readers += (_print, file.write)
    stop = _StopRequest(history)
    world: LocalWorld | None = None

    def say(sentence: str) -> None:
        history.note("world", "", sentence)

    def on_process_end(message: str) -> None:
        history.note("ended", "", message)

    def on_process_change() -> None:
        if world is not None:
            world.changed.set()

    pool = ProcessPool(
        folder,
        host,
        on_change=on_process_change,
        report=on_process_end,
        options=[word for origin in allow_origins for word in ("--allow-origin", origin)],
        networks=networks,
    )
    options = _command_options(host, port)
    world = LocalWorld(areas, pool, folder, history, warm_engines=content.warm_engines, command_options=options)
    members = frozenset(m.replica for assignment in world.recorded.values() for m in assignment.members())
    access = AccessRules(frozenset({host.lower(), "localhost"}))  # pages of allowed origins must not kill processes
    async with serve_app(world_app(world), format_address(host, port), access=access) as bound:
        history.readers.append(
            ReadinessReporter((a.area for a in areas), lambda: say(_ready_message(host, bound))).read
        )
        pool.start(2 * len(areas) + spares, members=members)
        say(f"starting {len(pool.processes)} processes for {counted(len(areas), 'area')}; state in {folder.path}")
        loop = asyncio.create_task(world.run())
        waiter = asyncio.create_task(stop.requested.wait())
        tasks = (loop, waiter)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.on_second = pool.kill
            hint = "; press Ctrl-C again to stop without waiting" if stop.by_key else ""
            say(f"stopping: every area is written to disk{hint}")
            last = frozenset(
                r.replica for area in world_status(world).areas for r in area.replicas if r.role == "active"
            )
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await pool.stop(last)
            say("stopped")
    if not loop.cancelled():
        loop.result()  # raises the error of a loop that failed


class _StopRequest:
    """Stop signals: the first stops the world in order, the second kills all processes.

    Attributes:
        requested: Set by the first signal.
        by_key: Whether the last signal came from Ctrl-C.
        on_second: Called by the second signal.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self.requested = asyncio.Event()
        self.by_key = False
        self.on_second: Callable[[], None] | None = None
        for number in accepted_stop_signals((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self.requested.is_set() and self.on_second is not None:
            self._history.note("world", "", "stopping at once")
            self.on_second()
        self.by_key = number == signal.SIGINT
        self.requested.set()


def _command_options(host: str, port: int) -> str:
    """Returns the options that commands need to reach a world; empty at the default address."""
    return f" --host {host}" * (host != HOST) + f" --port {port}" * (port != PORT)


def _ready_message(host: str, port: int) -> str:
    options = _command_options(host, port)
    return f"the world is ready: console at {http_url(host, port)}/, `pairsim status{options}`; Ctrl-C stops it"


def _print(entry: HistoryEntry) -> None:
    print_line(f"{time_of_day(entry.at)}  {entry.line}")
