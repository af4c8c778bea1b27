"""The only module that knows the Kubernetes client library: requests with deadlines, and answers told apart.

Objects are plain JSON here; they become typed where they are read (`objects`). The library brings what is easy to get
wrong: kubeconfig files, credentials that are renewed, TLS.
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

from pairsim_controller.kube.api.port import ApiError, Body, ChangedError

REQUEST_SECONDS = 10.0
MAX_LINE = 8 * 2**20
"""An object is at most 1.5 MiB in etcd; a longer line of a watch is not one."""

_CONNECT_SECONDS = 3.0
_BEARER = "BearerToken"
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Observe = Callable[[str, str, int, float], None]


class GoneError(ApiError):
    """404: there is no such object."""


class ConflictError(ChangedError):
    """409: it is there already, or is not any more as it was read, or a field is somebody else's."""


class ExpiredError(ApiError):
    """410: what was asked for is older than what the API server remembers; list again."""


class RefusedError(ApiError):
    """The API server does not want it: asking again changes nothing."""


class BusyError(ApiError):
    """429: it has too much to do."""

    def __init__(self, sentence: str, retry_after: float) -> None:
        """To be tried again after so many seconds."""
        super().__init__(sentence)
        self.retry_after = retry_after


class UnreachableError(ApiError):
    """No answer, or one that says nothing of the request's fate."""


def classify(status: int, sentence: str, retry_after: str | None) -> ApiError:
    """The error that an answer stands for."""
    if status == 404:
        return GoneError(sentence)
    if status == 409:
        return ConflictError(sentence)
    if status == 410:
        return ExpiredError(sentence)
    if status == 429:
        seconds = float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else 1.0
        return BusyError(sentence, min(seconds, 30.0))
    if 400 <= status < 500:
        return RefusedError(sentence)
    return UnreachableError(sentence)


class Connection:
    """One API server."""

    def __init__(self, api: client.ApiClient, namespace: str, observe: Observe) -> None:
        """See `open`."""
        self._api, self.namespace, self._observe = api, namespace, observe

    @classmethod
    async def open(cls, kubeconfig: Path | None, *, observe: Observe = lambda *_: None) -> Connection:
        """By a kubeconfig file, or as the pod's service account (None).

        Args:
            kubeconfig: The file.
            observe: Told of every request: verb, resource, HTTP status (0: no answer), seconds.

        Raises:
            ApiError: There are no credentials to be had.
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
        """One request; its answer's object.

        Raises:
            ApiError: One of the kinds above.
        """
        limits = aiohttp.ClientTimeout(total=seconds, connect=_CONNECT_SECONDS)
        began, status = time.monotonic(), 0
        try:
            answer = await self._send(method, path, query, body, content, limits)
            data, status = await answer.read(), answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UnreachableError(f"{method} {path}: {str(error) or 'no answer'}") from error
        finally:
            self._observe(method.lower(), path, status, time.monotonic() - began)
        if not 200 <= status < 300:
            raise classify(status, f"{method} {path}: {_message(data, status)}", answer.headers.get("Retry-After"))
        return _decoded(data)

    async def lines(self, path: str, query: Mapping[str, str], *, seconds: float) -> AsyncIterator[bytes]:
        """The lines of a watch, as they come; ends when the API server ends it, or after `seconds`.

        Raises:
            ApiError: It could not begin, or broke.
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
                    *whole, last = (bytes(rest) + chunk).split(b"\n")
                    for line in whole:
                        yield line
                    rest = bytearray(last)
                    if len(rest) > MAX_LINE:
                        raise UnreachableError(f"watch {path}: a line of over {MAX_LINE} bytes")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UnreachableError(f"watch {path}: {str(error) or 'no answer'}") from error

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Body | None,
        content: str,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": content, "User-Agent": "pairsim-controller"}
        await self._api.update_params_for_auth(headers, [], [_BEARER], path, method, body)
        url = f"{self._api.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        answer = await self._api.rest_client.request(method, url, headers=headers, body=body, _request_timeout=limits)
        return cast("aiohttp.ClientResponse", answer.response)


def _decoded(data: bytes) -> Body:
    try:
        return msgspec.json.decode(data, type=dict[str, object])
    except msgspec.MsgspecError as error:
        raise UnreachableError(f"an answer that is no object: {error}") from error


def _message(data: bytes, status: int) -> str:
    """What a `Status` object says."""
    try:
        said = msgspec.json.decode(data, type=dict[str, object]).get("message")
    except msgspec.MsgspecError:
        said = None
    return f"{said or 'no reason is given'} ({status})"
