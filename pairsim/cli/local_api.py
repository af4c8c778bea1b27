"""Asks the local world that `pairsim up` runs."""

from __future__ import annotations

import functools
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar, cast

import click
import msgspec

from pairsim.model.world_status import WorldPicture

HOST, PORT = "127.0.0.1", 8080
_SECONDS = 20.0
_MAX_ANSWER = 16 * 2**20
# A proxy from the environment must not come between a user and the user's own machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., None])


class Where(msgspec.Struct, frozen=True):
    """Where a world's own API listens."""

    host: str
    port: int


class _Process(msgspec.Struct):
    replica: str


def at_world(command: F) -> F:
    """Gives a command `--host` and `--port`, as one argument `where`."""

    @click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Of `pairsim up`.")
    @click.option("--host", default=HOST, show_default=True, help="Of `pairsim up`.")
    @functools.wraps(command)
    def wrapped(*args: object, host: str, port: int, **options: object) -> None:
        command(*args, where=Where(host, port), **options)

    return cast("F", wrapped)


def ask(where: Where, path: str, kind: type[T], body: dict[str, str] | None = None) -> T:
    """GET, or POST with a body; problems become sentences."""
    try:
        status, data = _exchange(where, path, body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise click.ClickException(_sentence(error, where)) from error
    if status != 200:
        raise click.ClickException(_mistaken(where, status) or _told(data) or f"the world answered {status}")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise click.ClickException(f"what answers on port {where.port} is no world of this version: {error}") from error


def world(where: Where) -> WorldPicture:
    """The world as it is."""
    return ask(where, "/v1/world", WorldPicture)


def _exchange(where: Where, path: str, body: dict[str, str] | None) -> tuple[int, bytes]:
    request = urllib.request.Request(
        f"http://{where.host}:{where.port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with _OPENER.open(request, timeout=_SECONDS) as answer:
            return 200, _whole(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(_MAX_ANSWER)


def _whole(answer: http.client.HTTPResponse) -> bytes:
    data = answer.read(_MAX_ANSWER)
    if answer.length:
        raise http.client.IncompleteRead(data, answer.length)
    return data


def _sentence(error: Exception, where: Where) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ConnectionRefusedError):
        return f"no world runs on port {where.port}: start one with `pairsim up WORLD.yaml`, or give its --port"
    if isinstance(reason, TimeoutError):
        return f"the world on port {where.port} does not answer: `pairsim up` hangs, or something else listens there"
    if isinstance(reason, ConnectionError | http.client.HTTPException):
        return f"the world on port {where.port} broke off: it has just ended, or something else listens there"
    return f"the world at {where.host}, port {where.port}, cannot be asked: {reason}"


def _mistaken(where: Where, status: int) -> str:
    """What is wrong with the port, if it is that of one of a world's processes; empty if it is not."""
    if status not in {401, 404}:  # a process knows no such path, or takes a token there
        return ""
    try:
        _, data = _exchange(where, "/v1/status", None)
        name = msgspec.json.decode(data, type=_Process).replica
    except (OSError, http.client.HTTPException, ValueError, msgspec.MsgspecError):
        return ""
    return f"port {where.port} is that of the process {name}: give the port of the `pairsim up` that runs it"


def _told(data: bytes) -> str:
    """The sentence of an error's answer; empty if it has none."""
    try:
        return str(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
