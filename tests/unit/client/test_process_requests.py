"""Reads that no replica answers in time: the error has the reason that a replica gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import pytest

from pairsim.client import process_requests
from pairsim.client.errors import Unavailable
from pairsim.client.http import HttpClient, ResponseLostError, StatusError, UnreachableError

COMPILING = StatusError(503, "a has been compiling for 12 s", unknown=False)
ELSEWHERE = StatusError(421, "b has another area", unknown=False)
LOST = ResponseLostError("http://a/v1/entities did not answer within 0.000257 s")
GONE = UnreachableError("no connection to http://a: Connection refused")


class ScriptedHttp:
    """Answers each request with the next error, and goes on with the last one."""

    def __init__(self, *errors: Exception) -> None:
        self._errors: Iterator[Exception] = iter(errors)
        self._last = errors[-1]

    async def request(self, method: str, url: str, *, seconds: float, query: Mapping[str, str] | None) -> bytes:
        raise next(self._errors, self._last)


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ((COMPILING, LOST), COMPILING),
        ((LOST, COMPILING), COMPILING),
        ((LOST, LOST), LOST),
        ((ELSEWHERE, COMPILING, ELSEWHERE, LOST), COMPILING),
        ((COMPILING, GONE), GONE),
    ],
)
async def test_the_reason_of_a_replica_is_kept_when_the_time_ends(
    errors: tuple[Exception, ...], reason: Exception
) -> None:
    http = cast("HttpClient", ScriptedHttp(*errors))
    with pytest.raises(Unavailable) as unavailable:
        await process_requests.read(http, ["http://a"], "/v1/entities", bytes, query=None, seconds=0.2)
    assert str(unavailable.value) == f"no replica answered GET /v1/entities: {reason}"
