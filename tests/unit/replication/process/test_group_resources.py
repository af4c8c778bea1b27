"""The files of an area survive a crash at any moment, and the peer port routes members to their own group only."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from structlog.testing import capture_logs

from pairsim.model.assignment import Assignment
from pairsim.replication.process.group_resources import (
    FileGroupResources,
    PeerRouter,
    area_folder,
    delete_area,
)
from pairsim.replication.process.resumption import saved_assignments
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.transport.peer_port import LinkRefusedError
from pairsim.replication.transport.tcp_transport import TcpTransport
from tests import builders
from tests.unit.replication.process.processes import settings
from tests.unit.replication.raft.journals import Crash

FIRST = builders.assignment("a", "b", "w")
SECOND = builders.assignment("a", "c", "w", generation=2, joins=("c",))


def resources(data: Path) -> FileGroupResources:
    return FileGroupResources(area_folder(data, "north"), settings("a", data), PeerRouter())


def crash_in_the_write(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Lets the process die in the middle of its write of this number, from 1."""
    write, count = Path.write_bytes, 0

    def torn(path: Path, data: bytes) -> int:
        nonlocal count
        count += 1
        if count < number:
            return write(path, data)
        write(path, data[: len(data) // 2])
        raise Crash

    monkeypatch.setattr(Path, "write_bytes", torn)


@pytest.mark.parametrize("number", [1, 2])
def test_a_crash_while_an_assignment_is_saved_leaves_the_one_before(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = resources(tmp_path)
    files.save_assignment(FIRST)
    files.open_journal(FIRST).close()
    crash_in_the_write(monkeypatch, number)
    with pytest.raises(Crash):
        files.save_assignment(SECOND)
    monkeypatch.undo()
    assert saved_assignments(tmp_path) == [FIRST]
    assert resources(tmp_path).saved_generation(1) == FIRST


def test_the_newest_assignment_is_resumed_and_the_former_members_stay_known(tmp_path: Path) -> None:
    files = resources(tmp_path)
    for assignment in (FIRST, SECOND):
        files.save_assignment(assignment)
        files.open_journal(assignment).close()
    assert saved_assignments(tmp_path) == [SECOND]
    assert files.saved_generation(1) == FIRST
    files.delete_generation(1)
    assert (files.has_journal(1), files.saved_generation(1)) == (False, None)
    assert files.has_journal(2)
    assert not list(tmp_path.glob("areas/north/generation-1*"))


def test_members_without_a_journal_are_not_a_generation_to_reopen(tmp_path: Path) -> None:
    files = resources(tmp_path)
    files.save_assignment(FIRST)
    assert files.saved_generation(1) is None


def test_an_assignment_that_cannot_be_read_is_logged_and_the_others_are_resumed(tmp_path: Path) -> None:
    resources(tmp_path).save_assignment(FIRST)
    damaged = area_folder(tmp_path, "east")
    damaged.mkdir()
    (damaged / "assignment.json").write_bytes(b'{"spec": ')
    with capture_logs() as logs:
        assert saved_assignments(tmp_path) == [FIRST]
    assert [entry["log_level"] for entry in logs] == ["error"]


@pytest.mark.parametrize("name", ["..", "a/b", "", "North", "/etc", "a\n"])
def test_the_name_of_an_area_does_not_lead_out_of_the_data_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="invalid area name"):
        area_folder(tmp_path, name)
    with pytest.raises(ValueError, match="invalid area name"):
        delete_area(tmp_path, name)


# --- the peer port


class FakeTransport:
    """A transport that expects some members."""

    def __init__(self, *expected: str) -> None:
        self._expected, self.closed = expected, False
        self.taken: list[str] = []

    def expects(self, sender: str) -> bool:
        return sender in self._expected

    def accept(self, sender: str, _link: object) -> None:
        self.taken.append(sender)


def hello(sender: str, generation: int = 1, area: str = "north") -> Hello:
    return cast("Hello", SimpleNamespace(sender=sender, generation=generation, area=area))


def router(*transports: FakeTransport) -> PeerRouter:
    """Returns a router with a transport for each generation, from 1."""
    made = PeerRouter()
    for generation, transport in enumerate(transports, 1):
        made.add_transport("north", generation, cast("TcpTransport", transport))
    return made


def refused(route: PeerRouter, greeting: Hello) -> Assignment | None:
    """Returns the generation that a refusal names; None if it names none."""
    with pytest.raises(LinkRefusedError) as caught:
        route.accept_raft(greeting)
    detail = caught.value.detail
    return msgspec.json.decode(detail, type=Assignment) if detail else None


def test_a_member_is_routed_to_the_group_of_its_generation() -> None:
    first, second = FakeTransport("b"), FakeTransport("b")
    route = router(first, second)
    route.accept_raft(hello("b", 2))(cast("None", None))  # type: ignore[arg-type]
    assert (first.taken, second.taken) == ([], ["b"])


def test_a_link_that_is_not_for_a_group_here_is_refused_and_learns_the_generation_in_force() -> None:
    closed, present = FakeTransport("b"), FakeTransport("b")
    route = router(closed, present)
    assert refused(route, hello("b", 9)) is None
    route.set_current(SECOND)
    closed.closed = True
    for greeting in (hello("stranger", 2), hello("b", 1), hello("b", 9)):
        assert refused(route, greeting) == SECOND
    assert refused(route, hello("b", 2, area="south")) is None


def test_a_released_area_has_neither_state_nor_generation() -> None:
    route = router(FakeTransport("b"))
    route.set_current(SECOND)
    route.set_stream("north", lambda _link, _hello: None)
    route.accept_stream(hello("b"))
    route.drop("north")
    with pytest.raises(LinkRefusedError, match="no state of north here"):
        route.accept_stream(hello("b"))
    assert refused(route, hello("b", 9)) is None


def test_a_link_of_another_area_is_taken_by_the_active_alone_and_others_name_the_members() -> None:
    route, active = router(), False
    with pytest.raises(LinkRefusedError) as caught:
        route.accept_link(hello("c"))
    assert caught.value.detail == b""
    route.set_links("north", lambda: active, lambda _link: None)
    route.set_current(SECOND)
    with pytest.raises(LinkRefusedError, match="the active of north is not here") as caught:
        route.accept_link(hello("c"))
    assert msgspec.json.decode(caught.value.detail, type=Assignment) == SECOND
    active = True
    assert callable(route.accept_link(hello("c")))
    route.drop("north")
    with pytest.raises(LinkRefusedError):
        route.accept_link(hello("c"))
