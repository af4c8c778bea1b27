"""`pairsim up`: a whole world on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import structlog

from pairsim.cli.local_api import HOST, PORT
from pairsim.model.area import AreaSpec
from pairsim.server.http.listener import listening
from pairsim_controller.cli.progress import Announcer
from pairsim_controller.cli.world_file import read_world
from pairsim_controller.console.history import History
from pairsim_controller.local.api import world_app
from pairsim_controller.local.data_folder import DataFolder, FolderError
from pairsim_controller.local.netns import NetworkError, Networks
from pairsim_controller.local.process_pool import Pool, PoolError, known_net
from pairsim_controller.local.world import LocalWorld, time_of_day
from pairsim_controller.local.world_status import world_status

_WILDCARDS = {"", "0.0.0.0"}  # noqa: S104 - they are refused
_PRIVILEGED = 1024
_LOOK = 0.02


@click.command()
@click.argument("world_file", type=click.Path(path_type=Path), metavar="WORLD.yaml")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("world-data"), show_default=True,
    help="Folder that the world lives in: another `up` on it goes on from there.",
)  # fmt: skip
@click.option(
    "--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Of the world's own API and console."
)
@click.option("--host", default=HOST, show_default=True, help="Where everything listens.")
@click.option(
    "--spares", type=click.IntRange(min=0), default=1, show_default=True, help="Simulators beyond two per area."
)
@click.option(
    "--isolate", is_flag=True, help="Each process in a network of its own, so that links can be cut; needs root."
)
@click.option(
    "--release", is_flag=True, help="Let areas go that are no longer in the file; backups/ keeps their last state."
)
def up(world_file: Path, data: Path, port: int, host: str, spares: int, isolate: bool, release: bool) -> None:
    """Runs a whole world on this machine.

    Simulators, a witness, and the controller that keeps every area a pair.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(30), logger_factory=structlog.WriteLoggerFactory(sys.stderr)
    )
    if host in _WILDCARDS or ":" in host:
        raise click.UsageError(f"--host {host}: give one IPv4 address, the processes find each other by it")
    areas = read_world(world_file)
    try:
        if not data.exists():  # of one that is there it is told first whether another `up` has it
            _check_address(host, port)
        folder = DataFolder(data)
        folder.check(areas, release=release)
        with contextlib.ExitStack() as stack:
            networks = stack.enter_context(contextlib.closing(Networks(known_net(folder)))) if isolate else None
            asyncio.run(_run(areas, folder, port, host, spares, networks))
    except OSError as error:
        raise click.ClickException(_os_sentence(error, host, port)) from error
    except (FolderError, PoolError, NetworkError) as error:
        raise click.ClickException(str(error)) from error


def _check_address(host: str, port: int) -> None:
    """Raises OSError if nothing can listen there: a slip must not make a data folder."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as what listens there later
        trial.bind((host, port))


def _os_sentence(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken: give another one with --port"
    if isinstance(error, PermissionError) and port < _PRIVILEGED:
        return f"port {port} is not for everybody: give one above {_PRIVILEGED} with --port"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host} is no address of this machine"
    return f"cannot start the world: {error.strerror or error}"


async def _run(
    areas: tuple[AreaSpec, ...], folder: DataFolder, port: int, host: str, spares: int, networks: Networks | None
) -> None:
    stop, history = _Stop(), History()
    world: LocalWorld | None = None

    def ended(sentence: str) -> None:
        _tell(sentence)
        history.ended(sentence, time.time())

    pool = Pool(folder, host, changed=lambda: world.changed.set() if world else None, story=ended, networks=networks)
    world = LocalWorld(areas, pool, folder, _tell)
    members = frozenset(m.replica for assignment in world.recorded.values() for m in assignment.members())
    async with listening(world_app(world, frozenset({host, "localhost"}), history), f"{host}:{port}") as bound:
        began = time.monotonic()
        pool.start(2 * len(areas) + spares, members=members)
        _tell(f"starting {len(pool.processes)} processes for {len(areas)} area(s); state in {folder.path}")
        loop = asyncio.create_task(world.run())
        announcer = asyncio.create_task(_announce(world, host, bound, began))
        waiter = asyncio.create_task(stop.told.wait())
        tasks = (loop, announcer, waiter)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.again = pool.kill
            _tell("stopping: every area is written to disk" + "; Ctrl-C again does not wait for it" * stop.by_key)
            last = frozenset(
                r.replica for area in world_status(world).areas for r in area.replicas if r.role == "active"
            )
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await pool.stop(last)
            _tell("stopped")
    for task in (loop, announcer):
        if not task.cancelled():
            task.result()  # its failure is none to be silent about


class _Stop:
    """Signals: the first stops in order, a second one at once."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.by_key = False
        self.again: Callable[[], None] | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._signal, number)

    def _signal(self, number: signal.Signals) -> None:
        if self.told.is_set() and self.again is not None:
            _tell("stopping at once")
            self.again()
        self.by_key = number == signal.SIGINT
        self.told.set()


async def _announce(world: LocalWorld, host: str, port: int, began: float) -> None:
    asked = f" --host {host}" * (host != HOST) + f" --port {port}" * (port != PORT)
    ready = f"the world is ready: console at http://{host}:{port}/, `pairsim status{asked}`; Ctrl-C stops it"
    announcer = Announcer(began, ready)
    while True:
        for sentence in announcer.fresh(world_status(world), time.monotonic()):
            _tell(sentence)
        await asyncio.sleep(_LOOK)


def _tell(sentence: str) -> None:
    # Whoever read it may be gone: the world goes on.
    with contextlib.suppress(OSError):
        click.echo(f"{time_of_day()}  {sentence}")
