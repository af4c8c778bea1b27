"""Requests to the local world that `pairsim up` runs."""

from __future__ import annotations

import functools
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

import click
import msgspec

from pairsim.addresses import format_address
from pairsim.model.world_status import WorldStatus

HOST, PORT = "127.0.0.1", 8080
_TIMEOUT_SECONDS = 20.0
_MAX_ANSWER_BYTES = 16 * 2**20
# Requests stay on this machine: a proxy of the environment must not take them.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., None])


class WorldAddress(msgspec.Struct, frozen=True):
    """The address of a local world's API.

    Attributes:
        host: An IP address or a host name.
        port: A TCP port.
    """

    host: str
    port: int


class _ProcessName(msgspec.Struct):
    replica: str


def world_options(command: F) -> F:
    """Adds the options `--host` and `--port` to a command, which gets them as one argument `address`."""

    @click.option(
        "--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="The port of `pairsim up`."
    )
    @click.option("--host", default=HOST, show_default=True, help="The host of `pairsim up`.")
    @functools.wraps(command)
    def wrapped(*args: object, host: str, port: int, **options: object) -> None:
        command(*args, address=WorldAddress(host, port), **options)

    return cast("F", wrapped)


def request(address: WorldAddress, path: str, kind: type[T], body: Mapping[str, object] | None = None) -> T:
    """Sends a GET, or a POST if there is a body, and returns the decoded answer.

    Raises:
        click.ClickException: The request failed; the message is a sentence for the user.
    """
    try:
        status, data = _exchange(address, path, body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise click.ClickException(_connection_error(error, address)) from error
    if status != 200:
        sentence = _wrong_port_hint(address, status) or _error_text(data) or f"the world answered {status}"
        raise click.ClickException(sentence)
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise click.ClickException(
            f"port {address.port} does not answer as a world of this version does: {error}"
        ) from error


def fetch_world(address: WorldAddress) -> WorldStatus:
    """Returns the present status of the world."""
    return request(address, "/v1/world", WorldStatus)


def _exchange(address: WorldAddress, path: str, body: Mapping[str, object] | None) -> tuple[int, bytes]:
    """Returns the status code and the body of the answer."""
    message = urllib.request.Request(
        f"http://{format_address(address.host, address.port)}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with _OPENER.open(message, timeout=_TIMEOUT_SECONDS) as answer:
            return 200, _read_body(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(_MAX_ANSWER_BYTES)


def _read_body(answer: http.client.HTTPResponse) -> bytes:
    data = answer.read(_MAX_ANSWER_BYTES)
    if answer.length:
        raise http.client.IncompleteRead(data, answer.length)
    return data


def _connection_error(error: Exception, address: WorldAddress) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ConnectionRefusedError):
        return f"no world runs on port {address.port}: start one with `pairsim up WORLD.yaml`, or give its --port"
    if isinstance(reason, TimeoutError):
        return f"the world on port {address.port} does not answer: `pairsim up` hangs, or another program listens there"
    if isinstance(reason, ConnectionError | http.client.HTTPException):
        return f"the world on port {address.port} broke off: it has just ended, or another program listens there"
    return f"the world at {address.host}, port {address.port}, cannot be reached: {reason}"


def _wrong_port_hint(address: WorldAddress, status: int) -> str:
    """Returns a sentence if the port is that of one of a world's processes; empty if it is not."""
    if status not in {401, 404}:  # a process does not know the path, or requires a token there
        return ""
    try:
        _, data = _exchange(address, "/v1/status", None)
        name = msgspec.json.decode(data, type=_ProcessName).replica
    except (OSError, http.client.HTTPException, ValueError, msgspec.MsgspecError):
        return ""
    return f"port {address.port} belongs to the process {name}: give the port of the `pairsim up` that runs it"


def _error_text(data: bytes) -> str:
    """Returns the sentence of an error's answer; empty if the answer has none."""
    try:
        return str(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
