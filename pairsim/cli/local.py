"""Asks the local world that `pairsim up` runs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TypeVar

import click
import msgspec

from controller.picture import AreaPicture, WorldPicture

_SECONDS = 20.0
T = TypeVar("T")


def ask(port: int, path: str, kind: type[T], body: dict[str, str] | None = None) -> T:
    """GET, or POST with a body; problems become sentences."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - the same
            return msgspec.json.decode(answer.read(), type=kind)
    except urllib.error.HTTPError as error:
        try:
            sentence = str(json.loads(error.read())["error"])
        except (ValueError, KeyError, TypeError):
            sentence = f"the world answered {error.code}"
        raise click.ClickException(sentence) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise click.ClickException(
            f"no world runs on port {port}: start one with `pairsim up WORLD.yaml`, or give its --port"
        ) from error
    except msgspec.MsgspecError as error:
        raise click.ClickException(f"what answers on port {port} is no world of this version: {error}") from error


def world(port: int) -> WorldPicture:
    """The world as it is."""
    return ask(port, "/v1/world", WorldPicture)


def area(port: int, name: str) -> AreaPicture:
    """One area of it."""
    areas = world(port).areas
    found = next((a for a in areas if a.area == name), None)
    if found is None:
        raise click.ClickException(f"there is no area {name!r}: this world has {', '.join(a.area for a in areas)}")
    return found
