"""`pairsim up`: a whole world on this machine."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import click
import structlog

from controller.folder import DataFolder, FolderError
from controller.local import LocalWorld, stamp
from controller.picture import WorldPicture, picture
from controller.pool import Pool, PoolError
from controller.service import world_app
from pairsim.cli.local import HOST, PORT
from pairsim.model.assignment import AreaSpec
from pairsim.model.documents import DocumentError, load_world
from pairsim.network.serve import listening

_WILDCARDS = {"", "0.0.0.0"}  # noqa: S104 - they are refused


@click.command()
@click.argument("world_file", type=click.Path(path_type=Path), metavar="WORLD.yaml")
@click.option("--data", type=click.Path(path_type=Path), default=Path("world-data"), show_default=True)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Of the world's own API and console."
)
@click.option("--host", default=HOST, show_default=True, help="Where everything listens.")
@click.option(
    "--spares", type=click.IntRange(min=0), default=1, show_default=True, help="Simulators beyond two per area."
)
@click.option("--release", is_flag=True, help="Delete areas that are no longer in the file.")
def up(world_file: Path, data: Path, port: int, host: str, spares: int, release: bool) -> None:
    """Runs a world: simulators, a witness, and the controller that keeps every area a pair."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(30), logger_factory=structlog.WriteLoggerFactory(sys.stderr)
    )
    if host in _WILDCARDS or ":" in host:
        raise click.UsageError(f"--host {host}: give one IPv4 address, the processes find each other by it")
    try:
        areas = load_world(world_file.read_text(encoding="utf-8")).specs()
        folder = DataFolder(data)
        folder.check(areas, release=release)
        asyncio.run(_run(areas, folder, port, host, spares))
    except OSError as error:
        raise click.ClickException(_os_sentence(error, world_file, port)) from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{world_file} is no text: {error}") from error
    except (DocumentError, FolderError, PoolError) as error:
        raise click.ClickException(str(error)) from error


def _os_sentence(error: OSError, world_file: Path, port: int) -> str:
    if error.filename == str(world_file):
        return f"cannot read {world_file}: {error.strerror}"
    if error.errno == 98:
        return f"port {port} is taken: give another one with --port"
    return f"cannot start the world: {error.strerror or error}"


async def _run(areas: tuple[AreaSpec, ...], folder: DataFolder, port: int, host: str, spares: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    world: LocalWorld | None = None
    pool = Pool(folder, host, changed=lambda: world.changed.set() if world else None, story=_tell)
    world = LocalWorld(areas, pool, folder, _tell)
    members = frozenset(m.replica for assignment in world.recorded.values() for m in assignment.members())
    async with listening(world_app(world, frozenset({host, "localhost"})), f"{host}:{port}") as bound:
        began = time.monotonic()
        pool.start(2 * len(areas) + spares, members=members)
        _tell(f"starting {len(pool.processes)} processes for {len(areas)} area(s); state in {folder.path}")
        loop = asyncio.create_task(world.run())
        announcer = asyncio.create_task(_announce(world, host, bound, began))
        waiter = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({loop, waiter}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            _tell("stopping")
            last = frozenset(r.replica for area in picture(world).areas for r in area.replicas if r.role == "active")
            for task in (announcer, loop, waiter):
                task.cancel()
            await asyncio.gather(announcer, loop, waiter, return_exceptions=True)
            await pool.stop(last)
            _tell("stopped")
    if not loop.cancelled():
        loop.result()  # a failure of the loop is none to be silent about


async def _announce(world: LocalWorld, host: str, port: int, began: float) -> None:
    """Says when every area is redundant, and from then on when one ceases to be or is again."""
    asked = f" --host {host}" * (host != HOST) + f" --port {port}" * (port != PORT)
    ready: dict[str, bool] = {}
    since: dict[str, float] = {}
    while True:
        now: WorldPicture = picture(world)
        for area in now.areas:
            before = ready.get(area.area)
            if area.redundant == before or (before is None and not area.redundant):
                continue
            ready[area.area] = area.redundant
            if area.redundant:
                took = time.monotonic() - since.get(area.area, began)
                pair = " and ".join(f"{r.replica} ({r.role})" for r in area.replicas)
                entities = max(r.entities for r in area.replicas)
                _tell(f"{area.area}: redundant after {took:.2f} s: {pair}, {entities} entities")
                if before is None and len(ready) == len(now.areas):
                    _tell(
                        f"the world is ready: http://{host}:{port}/v1/world, `pairsim status{asked}`; Ctrl-C stops it"
                    )
            else:
                since[area.area] = time.monotonic()
                _tell(f"{area.area}: not redundant")
        await asyncio.sleep(0.02)


def _tell(sentence: str) -> None:
    click.echo(f"{stamp()}  {sentence}")
