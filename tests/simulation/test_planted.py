"""The simulation can fail: it finds known faults of Raft and of replication that are planted into the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pairsim.replication.membership import membership
from pairsim.replication.raft import node
from pairsim.replication.raft.pysyncobj import raft
from pairsim.replication.replica import replica
from pairsim.replication.sync import follower, state
from tests.simulation import area, faults

SEEDS = 100


def found() -> bool:
    """Returns whether any seed fails."""
    for seed in range(SEEDS):
        try:
            faults.run(seed, seconds=10.0)
        except (AssertionError, KeyError, RuntimeError, ValueError, IndexError):
            return True
    return False


def acknowledges_before_commit(patch: pytest.MonkeyPatch) -> None:
    from pairsim.replication.replica import in_flight  # noqa: PLC0415 - only here

    computed = in_flight.InFlight.on_computed

    def early(self: in_flight.InFlight, tick: int, after: Any, term: int) -> None:
        self._committed = tick
        computed(self, tick, after, term)

    patch.setattr(in_flight.InFlight, "on_computed", early)


def applies_uncommitted_frames(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(follower.Follower, "_position", lambda self: (self._log.term, 10**9))


def keeps_an_unconfirmed_state(patch: pytest.MonkeyPatch) -> None:
    def trusting(state: state.ReplicaState, _log: object, _most_ahead: int) -> None:
        state.unconfirmed_term = None

    patch.setattr(replica, "resolve_unconfirmed", trusting)


def reports_digests_of_an_unconfirmed_state(patch: pytest.MonkeyPatch) -> None:
    def all_digests(self: state.ReplicaState, first: int, last: int) -> dict[int, str]:
        return {tick: f"{digest:016x}" for tick, digest in self._digests.items() if first <= tick <= last}

    patch.setattr(state.ReplicaState, "digests", all_digests)


def steps_differently_on_one_replica(patch: pytest.MonkeyPatch) -> None:
    step = area.Counters.step
    instances: list[area.Counters] = []

    def uneven(self: area.Counters, table: Any, batch: Any, tick: int, rng: Any) -> None:
        if self not in instances:
            instances.append(self)
        step(self, table, batch, tick, rng)
        if len(table) and instances.index(self) % 2 and tick % 7 == 0:
            table.column("value")[0] += 1

    patch.setattr(area.Counters, "step", uneven)


def skips_the_replay(patch: pytest.MonkeyPatch) -> None:
    def skip(self: replica.Replica, payload: bytes, term: int) -> bool:
        with self.state.lock:
            self.state.mark_tick(self.state.tick + 1)
        return True

    patch.setattr(replica.Replica, "_replay", skip)


def runs_a_command_again(patch: pytest.MonkeyPatch) -> None:
    from pairsim.model.borders import commands  # noqa: PLC0415 - only here
    from pairsim.replication.replica import in_flight  # noqa: PLC0415 - only here

    for module in (commands, in_flight):
        patch.setattr(module, "is_new", lambda _known, _attempt: True)


def believes_the_commit_index_of_a_snapshots_chunk(patch: pytest.MonkeyPatch) -> None:
    keep_matching = raft.Raft._keep_matching

    def believing(self: raft.Raft, message: Any) -> int | None:
        commit_index = message["commit_index"]
        reply = keep_matching(self, message)
        if "serialized" in message:
            message["commit_index"] = commit_index
        return reply

    patch.setattr(raft.Raft, "_keep_matching", believing)


def starts_a_generation_without_its_log(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(membership.Membership, "_seed", lambda _self, journal_: journal_.promote_to_voter())


def leads_without_a_state(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replica.Replica, "can_simulate", lambda _self: True)
    patch.setattr(node.RaftNode, "witness", property(lambda self: self.me == "w", lambda _s, _v: None), raising=False)


def applies_records_before_it_ends_a_lost_leadership(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(node.RaftNode, "_end_lost_leadership", lambda _self: None)


@pytest.mark.parametrize(
    "plant",
    [
        acknowledges_before_commit,
        applies_uncommitted_frames,
        keeps_an_unconfirmed_state,
        reports_digests_of_an_unconfirmed_state,
        steps_differently_on_one_replica,
        skips_the_replay,
        runs_a_command_again,
        believes_the_commit_index_of_a_snapshots_chunk,
        starts_a_generation_without_its_log,
        leads_without_a_state,
        applies_records_before_it_ends_a_lost_leadership,
    ],
    ids=lambda plant: plant.__name__,
)
def test_a_planted_fault_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert found()
