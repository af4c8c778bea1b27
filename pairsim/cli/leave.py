"""`pairsim leave`: what a pod runs before it ends (preStop), so that its area never waits for a replacement.

The process keeps voting and simulating meanwhile. It reports that it is leaving, so that the controller gives its place
to another process. This command holds the pod until that is done, for a bounded time. The controller sees by itself
that a pod is being deleted, but it does not see that only a container will be restarted in place (for another image or
after a failed probe).
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

from pairsim.addresses import is_http_url
from pairsim.wording import duration

_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 2.0
_SWITCHOVER_SECONDS = 7.0
_MAX_REFUSALS = 5
# The pod talks to itself: a proxy of the environment must not take its requests.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class GroupStatus(msgspec.Struct):
    """The part of a witness's status that names one of its areas."""

    area: str


class ProcessMembership(msgspec.Struct):
    """The part of `GET /v1/status` that shows whether the process is a member of an area.

    Attributes:
        role: The role of a simulator; empty for a witness.
        area: The area of a simulator; empty for a witness.
        areas: The areas of a witness.
    """

    role: str = ""
    area: str = ""
    areas: tuple[GroupStatus, ...] = ()

    @property
    def active(self) -> bool:
        """Whether an area would stand still if the process ended now."""
        return self.role == "active"

    def __str__(self) -> str:
        """Returns what the process is, such as "passive of west"; empty if it belongs to no area."""
        if self.areas:
            return f"witness of {', '.join(group.area for group in self.areas)}"
        return "" if self.role in {"", "spare"} else f"{self.role} of {self.area}"


class ProcessGoneError(Exception):
    """The error for a process that has ended already: nothing listens at its address."""


@click.command()
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The process that leaves.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    envvar="PAIRSIM_TOKEN_FILE",
    help="File with the bearer token of the control paths, for the notice and for the switchover at the deadline.",
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=45.0, show_default=True,
    help="How long to wait for a replacement.",
)  # fmt: skip
def leave(url: str, token_file: Path | None, seconds: float) -> None:
    """Waits until a process is no longer a member of any area.

    At the deadline an active hands over, so that its end is a switchover and not a takeover. Exit code 1 says that the
    process is still a member of an area.
    """
    url = url.rstrip("/")
    if not url.startswith("http://") or not is_http_url(url):
        raise click.UsageError(f"--url is http://HOST:PORT, not {url}")
    try:
        _announce_leave(url, token_file)
        last = _wait_until_replaced(url, time.monotonic() + seconds)
    except ProcessGoneError:
        click.echo(f"nothing listens at {url}: there is nothing to leave")
        return
    if last is not None and not str(last):
        click.echo("the process belongs to no area")
        return
    state = "does not answer" if last is None else f"is still {last}"
    if last is not None and last.active:
        state = f"was active of {last.area}, and {_hand_over(url, token_file)}"
    raise click.ClickException(f"this process was not replaced within {duration(seconds)}: it {state}")


def _wait_until_replaced(url: str, deadline: float) -> ProcessMembership | None:
    """Waits until the process belongs to no area, at the longest until the deadline.

    Returns:
        The newest membership that the process reported; None if it never answered.
    """
    last = None
    for left in _remaining_seconds(deadline):
        try:
            last = _fetch_membership(url, min(_ANSWER_SECONDS, left))
        except (OSError, http.client.HTTPException, msgspec.MsgspecError):
            continue  # hung or busy: the deadline bounds the wait
        if not str(last):
            break
    return last


def _remaining_seconds(deadline: float) -> Iterator[float]:
    """Yields the seconds that are left, once per attempt and at least once."""
    yield max(_ANSWER_SECONDS, deadline - time.monotonic())
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(_POLL_SECONDS, left))
        yield max(_POLL_SECONDS, left)


def _fetch_membership(url: str, seconds: float) -> ProcessMembership:
    for attempt in range(_MAX_REFUSALS):
        if attempt:
            time.sleep(_POLL_SECONDS)
        try:
            with _OPENER.open(f"{url}/v1/status", timeout=seconds) as answer:
                return msgspec.json.decode(answer.read(), type=ProcessMembership)
        except urllib.error.URLError as error:
            # A refused connection means that no process listens. A process that is just starting gets a second.
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
    raise ProcessGoneError


def _announce_leave(url: str, token_file: Path | None) -> None:
    """Makes the process report that it is leaving.

    Without a token, or if the process hangs, only the deletion of its pod shows it.
    """
    if token_file is not None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            _post(url, "/v1/leave", token_file, _ANSWER_SECONDS)


def _post(url: str, path: str, token_file: Path, seconds: float) -> None:
    token = token_file.read_text(encoding="utf-8").strip()
    request = urllib.request.Request(  # noqa: S310 - always http, checked above
        f"{url}{path}", data=b"{}", headers={"Authorization": f"Bearer {token}"}, method="POST"
    )
    with _OPENER.open(request, timeout=seconds):
        pass


def _hand_over(url: str, token_file: Path | None) -> str:
    """Requests a switchover; returns its outcome as the end of a sentence."""
    if token_file is None:
        return "could not hand over: give --token-file"
    try:
        _post(url, "/v1/switchover", token_file, _SWITCHOVER_SECONDS)
    except urllib.error.HTTPError as error:
        return f"could not hand over: it answered {error.code} {error.read(500).decode(errors='replace')}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"could not hand over: {error}"
    return "has handed over"
