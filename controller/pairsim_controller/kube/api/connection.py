"""Requests to one API server: each has a deadline, and each failure is an error of its own class.

This is the only module that knows the Kubernetes client library. The library reads kubeconfig files, renews credentials
and sets up TLS. Objects are plain JSON here; their readers convert them to typed structs (`objects`).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio import client, config

from pairsim.model.labels import FIELD_MANAGER
from pairsim_controller.kube.api.port import ApiError, Body, ChangedError

REQUEST_SECONDS = 10.0
MAX_LINE_BYTES = 8 * 2**20
"""Longest line of a watch: etcd limits an object to 1.5 MiB, so a longer line cannot be an event."""

_CONNECT_SECONDS = 3.0
_DEFAULT_RETRY_SECONDS, _MAX_RETRY_SECONDS = 1.0, 30.0
_BEARER = "BearerToken"
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

RequestObserver = Callable[[str, str, int, float], None]
"""Receives the verb, the path, the HTTP status (0: no answer) and the duration in seconds of a request."""


class ObjectGoneError(ApiError):
    """404: the object does not exist."""


class ConflictError(ChangedError):
    """409: the object exists already, has another version than was read, or another manager owns a field."""


class ExpiredError(ApiError):
    """410: the requested version is older than the history that the API server keeps; list again."""


class ApiRefusedError(ApiError):
    """Another 4xx: the API server rejects the request, and would reject it again."""


class ApiBusyError(ApiError):
    """429: the API server is overloaded.

    Attributes:
        retry_after: Seconds to wait before the next attempt.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ApiUnreachableError(ApiError):
    """No answer, or a server error: the request may have been carried out or not."""


def classify(status: int, message: str, retry_after: str | None) -> ApiError:
    """Returns the error for an answer.

    Args:
        status: The HTTP status, not 2xx.
        message: The text of the error.
        retry_after: The header `Retry-After`. Only whole seconds are understood, at most 30 are taken.
    """
    if status == 404:
        return ObjectGoneError(message)
    if status == 409:
        return ConflictError(message)
    if status == 410:
        return ExpiredError(message)
    if status == 429:
        digits = retry_after or ""
        seconds = float(digits) if digits.isascii() and digits.isdigit() else _DEFAULT_RETRY_SECONDS
        return ApiBusyError(message, min(seconds, _MAX_RETRY_SECONDS))
    if 400 <= status < 500:
        return ApiRefusedError(message)
    return ApiUnreachableError(message)


class Connection:
    """A connection to one API server.

    Attributes:
        namespace: The namespace of the kubeconfig's context or of the service account.
    """

    def __init__(self, api: client.ApiClient, namespace: str, observe: RequestObserver) -> None:
        """Uses a configured client; `open` makes one."""
        self._api, self.namespace, self._observe = api, namespace, observe

    @classmethod
    async def open(cls, kubeconfig: Path | None, *, observe: RequestObserver = lambda *_: None) -> Connection:
        """Reads the credentials and returns a connection; the first request connects.

        Args:
            kubeconfig: The kubeconfig file; None uses the pod's service account.
            observe: Called after each request.

        Raises:
            ApiError: The credentials cannot be read.
        """
        configuration = client.Configuration()
        try:
            if kubeconfig is None:
                config.load_incluster_config(client_configuration=configuration)
                namespace = _NAMESPACE_FILE.read_text(encoding="utf-8").strip()  # noqa: ASYNC240 - once, in memory
            else:
                await config.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
                _contexts, current = config.list_kube_config_contexts(config_file=str(kubeconfig))
                namespace = current["context"].get("namespace", "default")
        except (config.ConfigException, OSError) as error:
            where = kubeconfig or "the pod's service account: outside a cluster give --kubeconfig"
            raise ApiError(f"no credentials for a cluster in {where}: {error}") from error
        configuration.connection_pool_maxsize = 0  # watches take a connection each, and requests must not wait for them
        return cls(client.ApiClient(configuration), namespace, observe)

    async def close(self) -> None:
        """Ends all requests."""
        await self._api.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
        content: str = "application/json",
        seconds: float = REQUEST_SECONDS,
    ) -> Body:
        """Sends one request and returns the object in the answer.

        Args:
            method: The HTTP method.
            path: The path, as `path_of` makes it.
            query: The query parameters.
            body: The object to send.
            content: The content type of `body`.
            seconds: The deadline.

        Raises:
            ApiError: One of the classes above.
        """
        limits = aiohttp.ClientTimeout(total=seconds, connect=_CONNECT_SECONDS)
        began, status = time.monotonic(), 0
        try:
            answer = await self._send(method, path, query, body, content, limits)
            data, status = await answer.read(), answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiUnreachableError(f"{method} {path}: {str(error) or 'no answer'}") from error
        finally:
            self._observe(method.lower(), path, status, time.monotonic() - began)
        if not 200 <= status < 300:
            raise classify(status, f"{method} {path}: {_message(data, status)}", answer.headers.get("Retry-After"))
        return _decode(data)

    async def lines(self, path: str, query: Mapping[str, str], *, seconds: float) -> AsyncIterator[bytes]:
        """Yields the lines of a watch as they arrive.

        Args:
            path: The path of the collection.
            query: The query parameters.
            seconds: The watch ends after this time with an error, unless the API server ended it before.

        Raises:
            ApiError: The watch could not begin, or broke.
        """
        limits = aiohttp.ClientTimeout(total=seconds, connect=_CONNECT_SECONDS)
        began = time.monotonic()
        try:
            answer = await self._send("GET", path, query, None, "application/json", limits)
            self._observe("watch", path, answer.status, time.monotonic() - began)
            if answer.status != 200:
                data = await answer.read()
                raise classify(
                    answer.status,
                    f"watch {path}: {_message(data, answer.status)}",
                    answer.headers.get("Retry-After"),
                )
            async with answer:
                rest = bytearray()
                async for chunk in answer.content.iter_any():
                    *complete, last = (bytes(rest) + chunk).split(b"\n")
                    for line in complete:
                        yield line
                    rest = bytearray(last)
                    if len(rest) > MAX_LINE_BYTES:
                        raise ApiUnreachableError(f"watch {path}: a line has more than {MAX_LINE_BYTES} bytes")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiUnreachableError(f"watch {path}: {str(error) or 'no answer'}") from error

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Body | None,
        content: str,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": content, "User-Agent": FIELD_MANAGER}
        await self._api.update_params_for_auth(headers, [], [_BEARER], path, method, body)
        url = f"{self._api.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        answer = await self._api.rest_client.request(method, url, headers=headers, body=body, _request_timeout=limits)
        return cast("aiohttp.ClientResponse", answer.response)


def _decode(data: bytes) -> Body:
    try:
        return msgspec.json.decode(data, type=dict[str, object])
    except msgspec.MsgspecError as error:
        raise ApiUnreachableError(f"the answer is not a JSON object: {error}") from error


def _message(data: bytes, status: int) -> str:
    """Returns the message of the `Status` object that an error's answer carries, and the HTTP status."""
    try:
        message = msgspec.json.decode(data, type=dict[str, object]).get("message")
    except msgspec.MsgspecError:
        message = None
    return f"{message or 'no reason is given'} ({status})"
