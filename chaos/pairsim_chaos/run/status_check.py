"""The HTTP request of a status check."""

from __future__ import annotations

import aiohttp

from pairsim_chaos.experiment.experiment import Http


async def ask(http: Http, seconds: float) -> int:
    """Asks a URL; 0 if it does not answer."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.request(http.method, http.url, data=http.body or None) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, OSError, TimeoutError):
        return 0
