"""`pairsim leave`: what a pod runs before it ends (preStop), so that its area never waits for a replacement.

The process goes on voting and simulating meanwhile, and says that it leaves: the controller gives its place to another
one. This command holds the pod until that is done, for a time that is bounded. That the pod is being deleted the
controller sees by itself, but not that a container alone will be stopped in place (another image, a failed probe).
"""

from __future__ import annotations

import contextlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

_PAUSE = 0.2
_ANSWER_SECONDS = 2.0
_SWITCHOVER_SECONDS = 7.0
_REFUSALS = 5
# The pod asks itself: a proxy from the environment must not come between.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class _Group(msgspec.Struct):
    area: str


class Belonging(msgspec.Struct):
    """What of `GET /v1/status` tells whether the process is a member of an area.

    Attributes:
        role: Of a simulator; a witness has none.
        area: Of a simulator.
        areas: Of a witness: the areas that it serves.
    """

    role: str = ""
    area: str = ""
    areas: tuple[_Group, ...] = ()

    @property
    def active(self) -> bool:
        """Whether an area would stand still if the process ended now."""
        return self.role == "active"

    def __str__(self) -> str:
        """What it still is; empty if it belongs to no area."""
        if self.areas:
            return f"witness of {', '.join(group.area for group in self.areas)}"
        return "" if self.role in {"", "spare"} else f"{self.role} of {self.area}"


class _GoneError(Exception):
    """Nothing listens: the process has ended already."""


@click.command()
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Of the process that leaves.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    envvar="PAIRSIM_TOKEN_FILE",
    help="Bearer token of the control paths: to say that it leaves, and to hand over at the deadline.",
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=45.0, show_default=True,
    help="How long it may wait for a replacement.",
)  # fmt: skip
def leave(url: str, token_file: Path | None, seconds: float) -> None:
    """Waits until a process is no member of any area.

    At the deadline an active hands over, so that its end is a switchover and not a takeover. Exit code 1 says that the
    process is still a member of an area.
    """
    url = url.rstrip("/")
    if not url.startswith("http://"):
        raise click.UsageError(f"--url is http://HOST:PORT, not {url}")
    try:
        _say(url, token_file)
        last = _wait(url, time.monotonic() + seconds)
    except _GoneError:
        click.echo(f"nothing listens at {url}: there is nothing to leave")
        return
    if last is not None and not str(last):
        click.echo("it belongs to no area")
        return
    what = "does not answer" if last is None else f"is still {last}"
    if last is not None and last.active:
        what = f"was active of {last.area}, and {_hand_over(url, token_file)}"
    raise click.ClickException(f"after {seconds:g} s nothing has replaced this process: it {what}")


def _wait(url: str, deadline: float) -> Belonging | None:
    """Until it belongs to no area, or to the deadline; the newest that it said of itself, None if it never answered."""
    last = None
    for left in _attempts(deadline):
        try:
            last = _ask(url, min(_ANSWER_SECONDS, left))
        except (OSError, http.client.HTTPException, msgspec.MsgspecError):
            continue  # hung or busy: the deadline bounds the patience with it
        if not str(last):
            break
    return last


def _attempts(deadline: float) -> Iterator[float]:
    """Seconds that are left, at least once."""
    yield max(_ANSWER_SECONDS, deadline - time.monotonic())
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(_PAUSE, left))
        yield max(_PAUSE, left)


def _ask(url: str, seconds: float) -> Belonging:
    for attempt in range(_REFUSALS):
        if attempt:
            time.sleep(_PAUSE)
        try:
            with _OPENER.open(f"{url}/v1/status", timeout=seconds) as answer:
                return msgspec.json.decode(answer.read(), type=Belonging)
        except urllib.error.URLError as error:
            # A refusal is not silence: nobody is there. A process that is just starting gets a second.
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
    raise _GoneError


def _say(url: str, token_file: Path | None) -> None:
    """Has the process say that it leaves; without a token, or if it is hung, only its pod's deletion says so."""
    if token_file is not None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            _order(url, "/v1/leave", token_file, _ANSWER_SECONDS)


def _order(url: str, path: str, token_file: Path, seconds: float) -> None:
    token = token_file.read_text(encoding="utf-8").strip()
    request = urllib.request.Request(  # noqa: S310 - always http, checked above
        f"{url}{path}", data=b"{}", headers={"Authorization": f"Bearer {token}"}, method="POST"
    )
    with _OPENER.open(request, timeout=seconds):
        pass


def _hand_over(url: str, token_file: Path | None) -> str:
    """What came of the switchover, as the end of a sentence."""
    if token_file is None:
        return "could not hand over: give --token-file"
    try:
        _order(url, "/v1/switchover", token_file, _SWITCHOVER_SECONDS)
    except urllib.error.HTTPError as error:
        return f"could not hand over: it answered {error.code} {error.read(500).decode(errors='replace')}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"could not hand over: {error}"
    return "has handed over"
