"""`pairsim simulator` and `pairsim witness`: one process each; what the pods run."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import click
import msgspec
import structlog

from pairsim.replication.storage import JournalError
from pairsim.settings import ProcessSettings

F = TypeVar("F", bound=Callable[..., None])

_SWITCH_INTERVAL = 0.0005


def _options(function: F) -> F:
    """What both kinds of process take."""
    for option in reversed(
        [
            click.option("--name", required=True, envvar="PAIRSIM_NAME", help="Unique in the world."),
            click.option("--http", default="127.0.0.1:8081", envvar="PAIRSIM_HTTP", help="Where the API listens."),
            click.option("--peer", default="127.0.0.1:8082", envvar="PAIRSIM_PEER", help="Where peers connect."),
            click.option("--advertise-http", default="", envvar="PAIRSIM_ADVERTISE_HTTP", help="As others reach it."),
            click.option("--advertise-peer", default="", envvar="PAIRSIM_ADVERTISE_PEER", help="As others reach it."),
            click.option(
                "--data", required=True, type=click.Path(path_type=Path), envvar="PAIRSIM_DATA",
                help="Folder for journal, checkpoints and the assignment.",
            ),
            click.option(
                "--secret-file", required=True, type=click.Path(path_type=Path), envvar="PAIRSIM_SECRET_FILE",
                help="Shared by all members of the world; at least 16 bytes.",
            ),
            click.option(
                "--token-file", required=True, type=click.Path(path_type=Path), envvar="PAIRSIM_TOKEN_FILE",
                help="Bearer token of the control paths.",
            ),
            click.option("--checkpoint-seconds", default=10.0, show_default=True, help="Between states on disk."),
            click.option(
                "--log-level", default="info", show_default=True, envvar="PAIRSIM_LOG_LEVEL",
                help="debug, info, warning or error.",
            ),
        ]
    ):  # fmt: skip
        function = option(function)
    return function


@click.command()
@_options
def simulator(**options: object) -> None:
    """Runs one simulator process: a spare until it is assigned an area."""
    with _process(options) as settings:
        from pairsim.network.serve import run_simulator  # noqa: PLC0415 - a failed start need not load it
        from pairsim.replication.host import Host  # noqa: PLC0415

        host = Host(settings)
        try:
            asyncio.run(run_simulator(settings, host))
        finally:
            host.close()


@click.command()
@_options
def witness(**options: object) -> None:
    """Runs one witness process: the third vote of many areas."""
    with _process(options) as settings:
        from pairsim.network.serve import run_witness  # noqa: PLC0415 - a failed start need not load it
        from pairsim.replication.witness import Witness  # noqa: PLC0415

        port = Witness(settings)
        try:
            asyncio.run(run_witness(settings, port))
        finally:
            port.close()


@contextlib.contextmanager
def _process(options: dict[str, object]) -> Iterator[ProcessSettings]:
    """Settings, logging and the lock on the data folder; errors become sentences."""
    settings = _settings(options)
    _logging(str(options["log_level"]))
    sys.setswitchinterval(_SWITCH_INTERVAL)  # the Raft thread must not wait 5 ms for the interpreter
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        lock = os.open(settings.data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise click.ClickException(f"cannot use the data folder {settings.data}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise click.ClickException(f"the data folder {settings.data} is in use by another process") from None
    gc.freeze()
    try:
        yield settings
    except (OSError, JournalError) as error:
        raise click.ClickException(f"cannot start: {error}") from error


def _settings(options: dict[str, object]) -> ProcessSettings:
    try:
        secret = Path(str(options["secret_file"])).read_bytes().strip()
        token = Path(str(options["token_file"])).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise click.ClickException(f"cannot read {error.filename}: {error.strerror}") from error
    try:
        return msgspec.convert(
            {
                "name": options["name"],
                "http": options["http"],
                "peer": options["peer"],
                "advertise_http": options["advertise_http"],
                "advertise_peer": options["advertise_peer"],
                "data": options["data"],
                "secret": secret,
                "token": token,
                "checkpoint_seconds": options["checkpoint_seconds"],
            },
            ProcessSettings,
        )
    except (msgspec.ValidationError, ValueError) as error:
        raise click.ClickException(f"the settings are wrong: {error}") from error


def _logging(level: str) -> None:
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise click.ClickException(f"log level {level!r} is none of debug, info, warning, error")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
