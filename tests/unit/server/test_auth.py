"""Who may use a control path: the sender of the whole token, and no other."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from pairsim.server.http.auth import guarded, has_token, require_token
from pairsim.server.http.errors import HttpError

TOKEN = "a-token-of-the-controller"


def request(authorization: str | None) -> web.Request:
    headers = {} if authorization is None else {"Authorization": authorization}
    return make_mocked_request("PUT", "/v1/assignment", headers=headers)


def status(authorization: str | None) -> int:
    """Returns the status of the refusal; 200 without one."""
    try:
        require_token(request(authorization), TOKEN)
    except HttpError as error:
        return error.status
    return 200


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_the_token_opens(given: str) -> None:
    assert status(given) == 200
    assert has_token(request(given), TOKEN)


@pytest.mark.parametrize("length", range(1, len(TOKEN)))
def test_no_part_of_the_token_opens(length: int) -> None:
    for part in (TOKEN[:length], TOKEN[-length:]):
        assert status(f"Bearer {part}") == 403
        assert not has_token(request(f"Bearer {part}"), TOKEN)


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}x", f"Bearer {TOKEN} {TOKEN}", f"Bearer {TOKEN.upper()}"])
def test_no_other_token_opens(given: str) -> None:
    assert status(given) == 403


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}"])
def test_a_request_without_a_bearer_token_is_refused(given: str | None) -> None:
    assert status(given) == 401
    assert not has_token(request(given), TOKEN)


async def test_a_guarded_handler_is_not_called_without_the_token() -> None:
    called: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        called.append(request.path)
        return web.Response()

    guard = guarded(TOKEN, handler)
    with pytest.raises(HttpError):
        await guard(request("Bearer another"))
    assert called == []
    await guard(request(f"Bearer {TOKEN}"))
    assert called == ["/v1/assignment"]
