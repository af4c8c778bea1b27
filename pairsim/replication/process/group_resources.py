"""The real resources of Raft groups: the links of one peer port, and the files under one data folder.

An area has a folder of its own. `assignment.json` names the generation that a restart resumes, `generation-N.journal`
is a generation's Raft journal, `generation-N.json` names its members, and `checkpoint-*` are states.
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
from pairsim.replication.clock import monotonic
from pairsim.replication.process.resumption import read_assignment
from pairsim.replication.raft.journal import Journal, boot_id
from pairsim.replication.raft.storage import FileStorage
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.peer_port import Acceptor, LinkRefusedError
from pairsim.replication.transport.secret_mismatches import SecretMismatches, mismatch_message
from pairsim.replication.transport.tcp_transport import TcpTransport
from pairsim.settings import ProcessSettings
from pairsim.system.run_delay import RunDelay

log = structlog.get_logger()


class PeerRouter:
    """Routes a connection at the peer port to the Raft group, the state stream or the links that it is for. Any thread.

    Attributes:
        mismatches: The peers that have another secret.
    """

    def __init__(self) -> None:
        self.mismatches = SecretMismatches()
        self._lock = threading.Lock()
        self._transports: dict[tuple[str, int], TcpTransport] = {}
        self._current: dict[str, Assignment] = {}
        self._streams: dict[str, Callable[[PeerLink, Hello], None]] = {}
        self._interfaces: dict[str, Acceptor] = {}
        self._links: dict[str, tuple[Callable[[], bool], Acceptor]] = {}

    def add_transport(self, area: str, generation: int, transport: TcpTransport) -> None:
        """Accepts links for a group from now on."""
        with self._lock:
            kept = {key: known for key, known in self._transports.items() if not known.closed}
            self._transports = kept | {(area, generation): transport}

    def set_current(self, assignment: Assignment) -> None:
        """Names the generation in force of an area; members of other generations learn it when they are refused."""
        with self._lock:
            self._current[assignment.spec.area] = assignment

    def redirect(self, assignment: Assignment) -> None:
        """Dials the members at their present addresses, in the groups of all generations of the area."""
        with self._lock:
            found = [transport for (area, _), transport in self._transports.items() if area == assignment.spec.area]
        for transport in found:
            transport.redirect({m.replica: m.peer for m in assignment.members()})

    def set_stream(self, area: str, serve: Callable[[PeerLink, Hello], None]) -> None:
        """Accepts subscribers of an area's state from now on; `serve` runs in a thread for each of them."""
        with self._lock:
            self._streams[area] = serve

    def set_interface(self, area: str, answer: Acceptor) -> None:
        """Accepts replicas that ask for the interface of an area's simulator from now on; `answer` serves each."""
        with self._lock:
            self._interfaces[area] = answer

    def set_links(self, area: str, active: Callable[[], bool], serve: Acceptor) -> None:
        """Accepts links of other areas to this one from now on, while this replica is the active.

        Args:
            area: This area.
            active: Returns whether this replica is the active.
            serve: Serves a link; it runs in a thread for each of them.
        """
        with self._lock:
            self._links[area] = active, serve

    def drop(self, area: str) -> None:
        """Accepts no connections for an area any more, and forgets its generation in force."""
        with self._lock:
            self._current.pop(area, None)
            self._streams.pop(area, None)
            self._interfaces.pop(area, None)
            self._links.pop(area, None)

    def on_unproven(self, hello: Hello) -> None:
        """Notes that a process which calls itself a member of a group here does not know the secret."""
        with self._lock:
            transport = self._transports.get((hello.area, hello.generation))
        if transport is not None and not transport.closed and transport.expects(hello.sender):
            self.mismatches.on_failure(hello.area, hello.sender)

    def secret_problem(self, area: str, linked: frozenset[str]) -> str:
        """Returns which peers in an area have another secret; empty if none has. A linked peer has the same one."""
        return mismatch_message(self.mismatches.peers(area) - linked)

    def accept_raft(self, hello: Hello) -> Acceptor:
        """Returns the function that takes a link for the group of `hello`.

        Raises:
            LinkRefusedError: That group is not here, or the sender is not its member; names the generation in force.
        """
        with self._lock:
            transport = self._transports.get((hello.area, hello.generation))
            current = self._current.get(hello.area)
        if transport is None or transport.closed or not transport.expects(hello.sender):
            detail = msgspec.json.encode(current) if current is not None else b""
            raise LinkRefusedError(f"no group of generation {hello.generation} of {hello.area} here", detail)
        return functools.partial(transport.accept, hello.sender)

    def accept_stream(self, hello: Hello) -> Acceptor:
        """Returns the function that takes a link of a subscriber and serves it in a thread of its own.

        Raises:
            LinkRefusedError: The state of that area is not here.
        """
        with self._lock:
            serve = self._streams.get(hello.area)
        if serve is None:
            raise LinkRefusedError(f"no state of {hello.area} here")
        return _in_thread(lambda link: serve(link, hello), f"state-{hello.sender}")

    def accept_link(self, hello: Hello) -> Acceptor:
        """Returns the function that takes a link of another area and serves it in a thread of its own.

        Raises:
            LinkRefusedError: The active of that area is not here; names the generation in force.
        """
        with self._lock:
            links, current = self._links.get(hello.area), self._current.get(hello.area)
        if links is None or not links[0]():
            detail = msgspec.json.encode(current) if current is not None else b""
            raise LinkRefusedError(f"the active of {hello.area} is not here", detail)
        return _in_thread(links[1], f"link-from-{hello.sender}")

    def accept_interface(self, hello: Hello) -> Acceptor:
        """Returns the function that answers a replica which asks for the interface of an area's simulator.

        Raises:
            LinkRefusedError: That area is not here.
        """
        with self._lock:
            answer = self._interfaces.get(hello.area)
        if answer is None:
            raise LinkRefusedError(f"no simulator of {hello.area} here")
        return answer


class FileGroupResources:
    """The `GroupResources` of one area's membership: sockets and files."""

    def __init__(
        self,
        folder: Path,
        settings: ProcessSettings,
        router: PeerRouter,
    ) -> None:
        """Creates the folder."""
        self.folder = folder
        self._settings, self._router = settings, router
        folder.mkdir(parents=True, exist_ok=True)

    def open_transport(self, assignment: Assignment, on_superseded: Callable[[Assignment], None]) -> TcpTransport:
        """Opens TCP links to the members of a generation."""
        spec, me = assignment.spec, self._settings.name
        transport = TcpTransport(
            me,
            {m.replica: m.peer for m in assignment.members() if m.replica != me},
            area=spec.area,
            generation=assignment.generation,
            secrets=self._settings.secrets,
            mismatches=self._router.mismatches,
            timing=self._settings.timing,
            superseded=lambda detail: on_superseded(msgspec.json.decode(detail, type=Assignment)),
        )
        self._router.add_transport(spec.area, assignment.generation, transport)
        return transport

    def open_journal(self, assignment: Assignment) -> Journal:
        """Opens the journal file of a generation."""
        identity = f"{assignment.spec.area}/{assignment.generation}/{self._settings.name}"
        storage = FileStorage(self._journal_path(assignment.generation))
        try:
            return Journal(storage, boot_id(), identity)
        except BaseException:
            storage.close()  # its lock would keep this process itself from another attempt
            raise

    def has_journal(self, generation: int) -> bool:
        """Returns whether the journal file of a generation exists, so that a restart finds this member's votes."""
        return self._journal_path(generation).exists()

    def save_assignment(self, assignment: Assignment) -> None:
        """Writes the files that name the generation's members and the generation that a restart resumes."""
        for path in (self._members_path(assignment.generation), self.folder / "assignment.json"):
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(assignment)))
            temporary.replace(path)

    def saved_generation(self, generation: int) -> Assignment | None:
        """Reads the members of a generation whose journal file exists; None without such a journal."""
        return read_assignment(self._members_path(generation)) if self.has_journal(generation) else None

    def publish_generation(self, assignment: Assignment) -> None:
        """Names this generation to members of others that dial the peer port."""
        self._router.set_current(assignment)

    def delete_generation(self, generation: int) -> None:
        """Deletes a generation's files; a generation never comes again, so its lock file goes as well."""
        journal = self._journal_path(generation)
        for path in (journal, self._members_path(generation), journal.with_suffix(".lock")):
            path.unlink(missing_ok=True)

    def redirect(self, assignment: Assignment) -> None:
        """Dials these members at these addresses from now on, in every group of the area that is open here."""
        self._router.redirect(assignment)

    def processor_waits(self) -> RunDelay:
        """Returns the run delay of this process, which all of its areas share."""
        return _run_delay()

    def _journal_path(self, generation: int) -> Path:
        return self.folder / f"generation-{generation}.journal"

    def _members_path(self, generation: int) -> Path:
        return self.folder / f"generation-{generation}.json"


def _in_thread(serve: Acceptor, name: str) -> Acceptor:
    """Returns an acceptor that serves a link in a thread of its own."""

    def take(link: PeerLink) -> None:
        threading.Thread(target=serve, args=(link,), name=name, daemon=True).start()

    return take


@functools.cache
def _run_delay() -> RunDelay:
    return RunDelay(monotonic)


def area_folder(data: Path, area: str) -> Path:
    """Returns the folder of an area's files.

    Raises:
        ValueError: The area's name is not valid, so that it could lead out of `data`.
    """
    if not re.fullmatch(r"[a-z0-9][-a-z0-9]*", area):
        raise ValueError(f"invalid area name {area!r}: use lower-case letters, digits and hyphens")
    return data / "areas" / area


def delete_area(data: Path, area: str) -> None:
    """Deletes all files of an area."""
    shutil.rmtree(area_folder(data, area), ignore_errors=True)
