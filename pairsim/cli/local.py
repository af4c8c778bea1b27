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

from controller.picture import WorldPicture

HOST, PORT = "127.0.0.1", 8080
_SECONDS = 20.0
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., None])


class Where(msgspec.Struct, frozen=True):
    """Where a world's own API listens."""

    host: str
    port: int


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
    request = urllib.request.Request(
        f"http://{where.host}:{where.port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - always http
            return msgspec.json.decode(answer.read(), type=kind)
    except urllib.error.HTTPError as error:
        try:
            sentence = str(json.loads(error.read())["error"])
        except (ValueError, KeyError, TypeError):
            sentence = f"the world answered {error.code}"
        raise click.ClickException(sentence) from error
    except (OSError, http.client.HTTPException) as error:
        raise click.ClickException(
            f"no world runs on port {where.port}: start one with `pairsim up WORLD.yaml`, or give its --port"
        ) from error
    except msgspec.MsgspecError as error:
        raise click.ClickException(f"what answers on port {where.port} is no world of this version: {error}") from error


def world(where: Where) -> WorldPicture:
    """The world as it is."""
    return ask(where, "/v1/world", WorldPicture)
