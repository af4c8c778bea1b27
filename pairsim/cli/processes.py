"""`pairsim simulator` and `pairsim witness`: the commands that pods run, one process each."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from pairsim import logs
from pairsim.addresses import AddressError, format_address, parse_address
from pairsim.model.names import Name
from pairsim.model.stop_signals import WORLD_SHUTDOWN
from pairsim.replication.raft.storage import JournalError
from pairsim.replication.service import SimulatorError
from pairsim.settings import ProcessSettings
from pairsim.system.open_files import raise_file_limit
from pairsim.system.output import use_reliable_output
from pairsim.system.port_users import port_user

F = TypeVar("F", bound=Callable[..., None])

_SWITCH_INTERVAL_SECONDS = 0.0005
_MAX_CHECKPOINT_SECONDS = 86_400.0
_SETTING_OPTIONS = (
    "name", "http", "peer", "advertise_http", "advertise_peer", "allow_origins", "data", "checkpoint_seconds"
)  # fmt: skip
"""The options that are settings as they are; a witness holds no state and lacks the last one."""


def _address(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Checks that a value is HOST:PORT and returns it in its usual form; an advertised address may be empty."""
    if not value and str(param.name).startswith("advertise"):
        return value
    try:
        return format_address(*parse_address(value, min_port=1))
    except AddressError as error:
        raise click.BadParameter(f"{error}.", ctx, param) from None


def _name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        return msgspec.convert(value, Name)
    except msgspec.ValidationError:
        raise click.BadParameter(
            f"invalid name {value!r}: use small letters, digits and dashes between them, 63 at the most.", ctx, param
        ) from None


def _origins(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Checks the values of `--allow-origin` and returns them as browsers send them."""
    if not values:
        return ()
    from pairsim.server.http.origins import parse_origin  # noqa: PLC0415 - a start without origins need not load it

    try:
        return tuple(map(parse_origin, values))
    except ValueError as error:
        raise click.BadParameter(f"{error}.", ctx, param) from None


def _process_options(function: F) -> F:
    """Adds the options that both kinds of process take."""
    for option in reversed(
        [
            click.option(
                "--name", required=True, envvar="PAIRSIM_NAME", callback=_name,
                help="Name of the process, unique in the world.",
            ),
            click.option(
                "--http", default="127.0.0.1:8081", envvar="PAIRSIM_HTTP", callback=_address,
                show_default=True, help="Address at which the API listens.",
            ),
            click.option(
                "--peer", default="127.0.0.1:8082", envvar="PAIRSIM_PEER", callback=_address,
                show_default=True, help="Address at which peers connect.",
            ),
            click.option(
                "--advertise-http", default="", envvar="PAIRSIM_ADVERTISE_HTTP", callback=_address,
                help="Address at which other processes reach the API. [default: as --http]",
            ),
            click.option(
                "--advertise-peer", default="", envvar="PAIRSIM_ADVERTISE_PEER", callback=_address,
                help="Address at which peers reach this process. [default: as --peer]",
            ),
            click.option(
                "--allow-origin", "allow_origins", multiple=True, envvar="PAIRSIM_ALLOW_ORIGIN", callback=_origins,
                metavar="ORIGIN", help="Origin whose web pages may use the API: https://game.example.com; repeatable.",
            ),
            click.option(
                "--data", required=True, type=click.Path(path_type=Path), envvar="PAIRSIM_DATA",
                help="Folder for the journal, checkpoints and the assignment.",
            ),
            click.option(
                "--secret-file", required=True, type=click.Path(path_type=Path), envvar="PAIRSIM_SECRET_FILE",
                help="File with the secret that all members of the world share; at least 16 bytes.",
            ),
            click.option(
                "--previous-secret-file", default=None, type=click.Path(path_type=Path),
                envvar="PAIRSIM_PREVIOUS_SECRET_FILE",
                help="File with a secret that is accepted as well, while the secret is being replaced; may be missing.",
            ),
            click.option(
                "--token-file", required=True, type=click.Path(path_type=Path), envvar="PAIRSIM_TOKEN_FILE",
                help="File with the bearer token of the control paths.",
            ),
            click.option(
                "--log-level", default="info", show_default=True, envvar="PAIRSIM_LOG_LEVEL",
                help="Lowest level of the log: debug, info, warning or error.",
            ),
        ]
    ):  # fmt: skip
        function = option(function)
    return function


@click.command()
@_process_options
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=0, min_open=True, max=_MAX_CHECKPOINT_SECONDS),
    default=10.0,
    show_default=True,
    help="Seconds between checkpoints on disk.",
)
def simulator(**options: object) -> None:
    """Runs one simulator process. It is a spare until the controller assigns it an area."""
    with _prepared_process(options) as settings:
        from pairsim.replication.process.resumption import start_engine_early  # noqa: PLC0415 - before all that follows

        launcher = start_engine_early(settings)
        from pairsim.replication.process.simulator import SimulatorProcess  # noqa: PLC0415
        from pairsim.server.event_loop import run  # noqa: PLC0415
        from pairsim.server.run import run_simulator  # noqa: PLC0415 - a failed start need not load it

        host = SimulatorProcess(settings, launcher)
        try:
            run(run_simulator(settings, host))
        finally:
            signal.signal(WORLD_SHUTDOWN, signal.SIG_IGN)  # the process stops already, and writes its state to disk
            host.close()


@click.command()
@_process_options
def witness(**options: object) -> None:
    """Runs one witness process, the third vote of many areas."""
    with _prepared_process(options) as settings:
        from pairsim.replication.process.witness import WitnessProcess  # noqa: PLC0415
        from pairsim.server.event_loop import run  # noqa: PLC0415
        from pairsim.server.run import run_witness  # noqa: PLC0415 - a failed start need not load it

        port = WitnessProcess(settings)
        try:
            run(run_witness(settings, port))
        finally:
            signal.signal(WORLD_SHUTDOWN, signal.SIG_IGN)  # the process stops already
            port.close()


@contextlib.contextmanager
def _prepared_process(options: dict[str, object]) -> Iterator[ProcessSettings]:
    """Reads the settings, configures logging and locks the data folder; turns errors into sentences."""
    settings = _read_settings(options)
    raise_file_limit()
    use_reliable_output()  # a simulator prints in the middle of a tick
    logs.configure(str(options["log_level"]))
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)  # the Raft thread must not wait 5 ms for the interpreter
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        lock = os.open(settings.data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = "it is not a folder" if isinstance(error, FileExistsError) else error.strerror
        raise click.ClickException(f"cannot use the data folder {settings.data}: {reason}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise click.ClickException(f"the data folder {settings.data} is in use by another process") from None
    gc.freeze()
    try:
        yield settings
    except (JournalError, SimulatorError) as error:
        raise click.ClickException(f"cannot start: {error}") from error
    except OSError as error:
        raise click.ClickException(f"cannot start: {_address_error(error, settings) or error}") from error


def _address_error(error: OSError, settings: ProcessSettings) -> str:
    """Returns a sentence if an address causes the error; empty if none does."""
    for option, address in (("--http", settings.http), ("--peer", settings.peer)):
        host, port = parse_address(address)
        if repr((host, port)) not in str(error):
            continue
        if error.errno == errno.EADDRINUSE:
            return f"{address} is taken by {port_user(host, port)}: give another address with {option}"
        if error.errno == errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine: give another one with {option}"
    if isinstance(error, socket.gaierror):
        return f"the host of --http {settings.http} or --peer {settings.peer} is not known"
    return ""


def _read_settings(options: dict[str, object]) -> ProcessSettings:
    try:
        secret = Path(str(options["secret_file"])).read_bytes().strip()
        token = Path(str(options["token_file"])).read_bytes().strip()
    except OSError as error:
        raise click.ClickException(f"cannot read {error.filename}: {error.strerror}") from error
    previous = _read_previous_secret(options["previous_secret_file"])
    if re.fullmatch(rb"[!-~]*", token) is None:
        raise click.ClickException(f"the token in {options['token_file']} must be a single word of ASCII")
    try:
        return msgspec.convert(
            {name: options[name] for name in _SETTING_OPTIONS if name in options}
            | {"secret": secret, "previous_secret": previous, "token": token.decode()},
            ProcessSettings,
        )
    except (msgspec.ValidationError, ValueError) as error:
        raise click.ClickException(f"invalid settings: {error}") from error


def _read_previous_secret(path: object) -> bytes:
    """Returns the content of the file; empty without a file, since most of the time no secret is being replaced."""
    try:
        return Path(str(path)).read_bytes().strip() if path is not None else b""
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise click.ClickException(f"cannot read {error.filename}: {error.strerror}") from error
