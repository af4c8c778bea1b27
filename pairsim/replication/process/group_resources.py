"""What memberships of one process stand on: the peer port's links and the files under its data folder.

A folder per area: `assignment.json` says which generation a restart resumes, `generation-N.journal` is a generation's
Raft journal and `generation-N.json` says who is in it, `checkpoint-*` are states.
"""

from __future__ import annotations

import functools
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from pairsim.model.assignment import Assignment
from pairsim.model.decode_errors import UNDECODABLE
from pairsim.replication.raft.journal import FileStorage, Journal, boot_id
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.peer_port import Acceptor, LinkRefusedError
from pairsim.replication.transport.tcp_transport import TcpTransport
from pairsim.settings import ProcessSettings

log = structlog.get_logger()


class Switchboard:
    """Routes what arrives at the peer port to the group or stream that it is for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wires: dict[tuple[str, int], TcpTransport] = {}
        self._current: dict[str, Assignment] = {}
        self._streams: dict[str, Callable[[PeerLink, Hello], None]] = {}

    def add_wire(self, area: str, generation: int, wire: TcpTransport) -> None:
        """Takes links for a group."""
        with self._lock:
            self._wires = {k: w for k, w in self._wires.items() if not w.closed} | {(area, generation): wire}

    def set_current(self, assignment: Assignment) -> None:
        """Members of earlier generations of this area are told of this one."""
        with self._lock:
            self._current[assignment.spec.area] = assignment

    def set_stream(self, area: str, serve: Callable[[PeerLink, Hello], None]) -> None:
        """Takes subscribers of an area's state."""
        with self._lock:
            self._streams[area] = serve

    def drop(self, area: str) -> None:
        """Takes nothing for an area any more."""
        with self._lock:
            self._current.pop(area, None)
            self._streams.pop(area, None)

    def raft(self, hello: Hello) -> Acceptor:
        """A member dials a group."""
        with self._lock:
            wire = self._wires.get((hello.area, hello.generation))
            current = self._current.get(hello.area)
        if wire is None or wire.closed or not wire.expects(hello.sender):
            detail = msgspec.json.encode(current) if current is not None else b""
            raise LinkRefusedError(f"no group of generation {hello.generation} of {hello.area} here", detail)
        return functools.partial(wire.accept, hello.sender)

    def sync(self, hello: Hello) -> Acceptor:
        """A replica subscribes to an area's state."""
        with self._lock:
            serve = self._streams.get(hello.area)
        if serve is None:
            raise LinkRefusedError(f"no state of {hello.area} here")

        def take(link: PeerLink) -> None:
            threading.Thread(target=serve, args=(link, hello), name=f"state-{hello.sender}", daemon=True).start()

        return take


class AreaSurface:
    """The `Surface` of one area's membership."""

    def __init__(
        self,
        folder: Path,
        settings: ProcessSettings,
        board: Switchboard,
        superseded: Callable[[Assignment], None],
    ) -> None:
        """`superseded` is told of later generations that peers know of."""
        self.folder = folder
        self._settings, self._board, self._superseded = settings, board, superseded
        folder.mkdir(parents=True, exist_ok=True)

    def wire(self, assignment: Assignment) -> TcpTransport:
        """See `Surface`."""
        spec, me = assignment.spec, self._settings.name
        wire = TcpTransport(
            me,
            {m.replica: m.peer for m in assignment.members() if m.replica != me},
            area=spec.area,
            generation=assignment.generation,
            secret=self._settings.secret,
            timing=self._settings.timing,
            superseded=lambda detail: self._superseded(msgspec.json.decode(detail, type=Assignment)),
        )
        self._board.add_wire(spec.area, assignment.generation, wire)
        return wire

    def journal(self, assignment: Assignment) -> Journal:
        """See `Surface`."""
        identity = f"{assignment.spec.area}/{assignment.generation}/{self._settings.name}"
        return Journal(FileStorage(self._file(assignment.generation)), boot_id(), identity)

    def remember(self, assignment: Assignment) -> None:
        """See `Surface`."""
        for path in (self._members(assignment.generation), self.folder / "assignment.json"):
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(assignment)))
            temporary.replace(path)

    def former(self, generation: int) -> Assignment | None:
        """See `Surface`."""
        return _read(self._members(generation)) if self.has_journal(generation) else None

    def announce(self, assignment: Assignment) -> None:
        """See `Surface`."""
        self._board.set_current(assignment)

    def forget(self, generation: int) -> None:
        """See `Surface`."""
        journal = self._file(generation)
        for path in (journal, self._members(generation), journal.with_suffix(".lock")):  # it never comes again
            path.unlink(missing_ok=True)

    def has_journal(self, generation: int) -> bool:
        """Whether a restart finds what this member promised."""
        return self._file(generation).exists()

    def _file(self, generation: int) -> Path:
        return self.folder / f"generation-{generation}.journal"

    def _members(self, generation: int) -> Path:
        return self.folder / f"generation-{generation}.json"


def remembered(data: Path) -> list[Assignment]:
    """The memberships that a restart resumes, by the folders under `data`."""
    found = [_read(path) for path in sorted(data.glob("areas/*/assignment.json"))]
    return [assignment for assignment in found if assignment is not None]


def _read(path: Path) -> Assignment | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Assignment)
    except FileNotFoundError:
        return None
    except (OSError, *UNDECODABLE) as error:
        log.error("a membership cannot be resumed", file=str(path), reason=str(error))  # noqa: TRY400 - the sentence says all
        return None


def area_folder(data: Path, area: str) -> Path:
    """Where an area's files are."""
    if not re.fullmatch(r"[a-z0-9][-a-z0-9]*", area):
        raise ValueError(f"{area!r} is no area's name")
    return data / "areas" / area


def delete_area(data: Path, area: str) -> None:
    """Forgets an area for good."""
    shutil.rmtree(area_folder(data, area), ignore_errors=True)
