"""A batch is committed once, whatever the replicas do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from pairsim.client import CommandsRefused, Overloaded, Unavailable
from pairsim.client.delivery import (
    BatchAttempt,
    BusyError,
    Delivery,
    MisdirectedError,
    NotSentError,
    UnknownOutcomeError,
)
from pairsim.model.commands import Command, Result, Status
from tests.unit.server.fakes import commands
from tests.unit.server.http_servers import soon

Step = Callable[[], list[Result]] | Exception | None


class Replicas:
    """Answers attempts by a script: results, an error, or None for silence. The last step stays."""

    def __init__(self, **script: list[Step]) -> None:
        self.script = script
        self.asked: list[str] = []
        self.cancelled: list[str] = []

    async def attempt(self, url: str, batch: Sequence[Command]) -> list[Result]:
        self.asked.append(url)
        steps = self.script[url]
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if step is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(url)
                raise
        if isinstance(step, Exception):
            raise step
        assert step is not None
        return step()


def applied(tick: int = 5, status: Status = Status.APPLIED, reason: str = "") -> Callable[[], list[Result]]:
    return lambda: [Result("c0", status, tick, reason)]


async def deliver(replicas: Replicas, *, hedge: float = 0.01, seconds: float = 5.0) -> list[Result]:
    return await soon(Delivery(list(replicas.script), replicas.attempt, hedge=hedge).deliver(commands(1), seconds))


async def test_one_answer_needs_one_attempt() -> None:
    replicas = Replicas(a=[applied()], b=[applied()])
    assert (await deliver(replicas, hedge=5.0))[0].status is Status.APPLIED
    assert replicas.asked == ["a"]


@pytest.mark.parametrize("error", [NotSentError("refused"), UnknownOutcomeError("broke")])
async def test_a_failure_is_followed_by_the_other_replica_at_once(error: Exception) -> None:
    replicas = Replicas(a=[error], b=[applied()])
    await deliver(replicas, hedge=60.0)
    assert replicas.asked == ["a", "b"]


async def test_silence_is_hedged_and_the_rest_is_cancelled() -> None:
    replicas = Replicas(a=[None], b=[applied()])
    await deliver(replicas)
    assert (replicas.asked, replicas.cancelled) == (["a", "b"], [])
    await asyncio.sleep(0)
    assert replicas.cancelled == ["a"]


async def test_the_attempt_after_a_failure_has_as_long_as_the_first() -> None:
    replicas = Replicas(a=[NotSentError("refused")], b=[None])
    one = BatchAttempt(Delivery(["a", "b"], replicas.attempt, hedge=1.0), commands(1), replicas.attempt, 10.0)
    assert one._start_due_attempt(["a", "b"], 100.0) == 110.0
    ((failed, url),) = one._running.items()
    await asyncio.wait([failed])
    del one._running[failed]
    assert one._outcome(url, failed) is None
    assert one._start_due_attempt(["b", "a"], 105.0) == 115.0
    one.cancel()


async def test_after_a_hedge_the_answering_replica_is_asked_first() -> None:
    replicas = Replicas(a=[None], b=[applied()])
    delivery = Delivery(["a", "b"], replicas.attempt, hedge=0.01)
    await soon(delivery.deliver(commands(1), 5.0))
    await soon(delivery.deliver(commands(1), 5.0))
    assert replicas.asked == ["a", "b", "b"]


async def test_a_replica_that_answers_late_but_first_is_asked_first_again() -> None:
    asked: list[str] = []
    hedged = asyncio.Event()

    async def attempt(url: str, batch: Sequence[Command]) -> list[Result]:
        asked.append(url)
        if url == "b":
            hedged.set()
            await asyncio.Event().wait()
        await hedged.wait()
        return [Result("c0", Status.APPLIED, 5)]

    delivery = Delivery(["a", "b"], attempt, hedge=0.01)
    await soon(delivery.deliver(commands(1), 5.0))
    await soon(delivery.deliver(commands(1), 5.0))
    assert asked == ["a", "b", "a"]


async def test_attempts_go_on_until_a_replica_answers() -> None:
    replicas = Replicas(
        a=[NotSentError("gone")], b=[NotSentError("no active"), UnknownOutcomeError("interrupted"), applied()]
    )
    assert (await deliver(replicas))[0].status is Status.APPLIED


async def test_a_duplicate_of_the_batchs_own_first_run_is_its_result() -> None:
    for reason, status in (("", Status.APPLIED), ("no such entity", Status.REJECTED)):
        replicas = Replicas(a=[UnknownOutcomeError("broke")], b=[applied(5, Status.DUPLICATE, reason)])
        assert await deliver(replicas) == [Result("c0", status, 5, reason)]


async def test_a_duplicate_of_the_first_attempt_stays_a_duplicate() -> None:
    assert (await deliver(Replicas(a=[applied(5, Status.DUPLICATE)])))[0].status is Status.DUPLICATE


async def test_a_duplicate_from_before_the_batch_stays_a_duplicate() -> None:
    replicas = Replicas(a=[applied(7), UnknownOutcomeError("broke")], b=[applied(6, Status.DUPLICATE)])
    delivery = Delivery(["a", "b"], replicas.attempt, hedge=1.0)
    await soon(delivery.deliver(commands(1), 5.0))
    assert (await soon(delivery.deliver(commands(1), 5.0)))[0].status is Status.DUPLICATE


async def test_a_refusal_is_final() -> None:
    replicas = Replicas(a=[CommandsRefused("no such op")], b=[applied()])
    with pytest.raises(CommandsRefused):
        await deliver(replicas)
    assert replicas.asked == ["a"]


async def test_overload_is_reported_when_nothing_was_applied_for_certain() -> None:
    with pytest.raises(Overloaded):
        await deliver(Replicas(a=[BusyError("full")], b=[applied()]))


async def test_overload_after_an_unknown_outcome_is_retried() -> None:
    replicas = Replicas(a=[UnknownOutcomeError("broke"), BusyError("full"), applied(5, Status.DUPLICATE)])
    assert (await deliver(replicas))[0].status is Status.APPLIED


async def test_the_error_at_the_deadline_names_commands_with_an_unknown_outcome() -> None:
    for steps, unknown in (
        ([NotSentError("refused")], ()),
        ([UnknownOutcomeError("broke")], ("c0",)),
        ([None], ("c0",)),
    ):
        with pytest.raises(Unavailable) as caught:
            await deliver(Replicas(a=list(steps)), seconds=0.05)
        assert caught.value.unknown == unknown


@pytest.mark.parametrize(
    ("replica", "reason"),
    [
        (NotSentError("a has been stuck for 4 s in tick 812"), "a has been stuck for 4 s in tick 812"),
        (None, "no answer came from a"),
        (MisdirectedError("a is a spare"), "is a spare"),
    ],
)
async def test_the_error_at_the_deadline_does_not_come_from_a_process_of_another_area(
    replica: Step, reason: str
) -> None:
    with pytest.raises(Unavailable, match=f"{reason}$"):
        await deliver(Replicas(a=[replica], b=[MisdirectedError("b is a spare")]), seconds=0.05)
