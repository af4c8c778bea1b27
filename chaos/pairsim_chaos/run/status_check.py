"""The HTTP request of a status check."""

from __future__ import annotations

import aiohttp

from pairsim_chaos.experiment.model import HttpCheck


async def request_status(http: HttpCheck, seconds: float) -> int:
    """Returns the status code of the answer; 0 if the URL does not answer within the given seconds."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.request(http.method, http.url, data=http.body or None) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, OSError, TimeoutError):
        return 0
