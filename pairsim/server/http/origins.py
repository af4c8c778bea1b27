"""Protection of a server against web pages of other origins in a browser that can reach it.

A browser sends requests for any page that it shows, also to servers on the user's own machine or in the user's own
network. A page must neither read a world nor act on it unless the operator allowed its origin. Three rules:

- **Host.** A server on loopback answers only to loopback names and to the names that its operator gave it. A page whose
  host name was made to point at 127.0.0.1 (DNS rebinding) keeps its own name in the header `Host`, and is refused. A
  server that listens at another address is reached by the names of Services and proxies, which it cannot know, so it
  answers to every name.
- **Origin.** A browser names the page's origin (RFC 6454) in every WebSocket handshake and in every request that may
  change something. An origin that is neither the server's own nor on the allow list is refused. Programs other than
  browsers send no `Origin`, and nothing changes for them.
- **Content type.** Handlers read JSON with `pairsim.server.http.requests.read_json`: a page cannot send the content
  type `application/json` to another origin without asking first (CORS preflight), and only allowed origins get consent.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pairsim.addresses import parse_address, parse_host_header
from pairsim.protocol.frames import AREA_HEADER, ENTITIES_HEADER, REPLICA_HEADER, TICK_HEADER
from pairsim.server.http.errors import HttpError, respond

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_ORIGIN = re.compile(r"https?://[a-z0-9.\-_]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?")
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": f"Authorization, Content-Type, {AREA_HEADER}, {REPLICA_HEADER}",
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "600",
}
_EXPOSED = f"Retry-After, {TICK_HEADER}, {ENTITIES_HEADER}"


class AccessRules(msgspec.Struct, frozen=True):
    """Which host names a server answers to, and which origins' pages may use it.

    Attributes:
        hosts: The host names, in lower case and without ports; None if the server answers to every name.
        origins: The allowed origins beside the server's own.
        advice: The end of the sentence that refuses: how the operator can allow more.
    """

    hosts: frozenset[str] | None = None
    origins: frozenset[str] = frozenset()
    advice: str = ""

    @classmethod
    def of_listener(
        cls, address: str, *, known: Iterable[str] = (), origins: Iterable[str] = (), advice: str = ""
    ) -> AccessRules:
        """Returns the rules of a server that listens at an address.

        Args:
            address: HOST:PORT.
            known: Further addresses (HOST:PORT) by which clients reach the server; empty strings are ignored.
            origins: Allowed origins; the server answers to their host names as well, for a proxy that passes them on.
            advice: As of the class.
        """
        host = parse_address(address).host.lower()
        allowed = frozenset(origins)
        if not is_loopback(host):
            return cls(None, allowed, advice)
        others = (*known, *(each.partition("://")[2] for each in allowed))
        return cls(frozenset({host, *map(parse_host_header, others)}), allowed, advice)

    def refusal(self, host: str | None, origin: str | None) -> str:
        """Returns the sentence that refuses a request; empty if the request passes.

        Args:
            host: The header `Host`; None if the request has none, which no browser's request lacks.
            origin: The header `Origin`; None if the request has none.
        """
        if host is not None and not self._answers_to(host):
            return f"this server does not answer as {_shown(host)}{self.advice}"
        if origin is not None and not self.allows(origin) and not _is_own(origin, host):
            return f"pages of {_shown(origin)} may not use this server{self.advice}"
        return ""

    def allows(self, origin: str) -> bool:
        """Returns whether an origin is on the allow list."""
        return origin.lower() in self.origins

    def _answers_to(self, host: str) -> bool:
        if self.hosts is None:
            return True
        name = parse_host_header(host)
        return bool(name) and (name in self.hosts or is_loopback(name))


def parse_origin(text: str) -> str:
    """Returns an origin in the form in which browsers send it: `https://game.example.com`, with a port if one is named.

    Raises:
        ValueError: The text is not an origin of http or https.
    """
    origin = text.strip().lower().removesuffix("/")
    if _ORIGIN.fullmatch(origin) is None:
        raise ValueError(
            f"{text!r} is not an origin: write the scheme, the host and the port if it is not the scheme's own, for"
            " example https://game.example.com or http://localhost:3000"
        )
    return origin.removesuffix(_DEFAULT_PORTS[origin.partition("://")[0]])


def is_loopback(host: str) -> bool:
    """Returns whether a host name or IP address is the machine itself (RFC 6761 for `localhost`)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_origin(rules: AccessRules) -> Middleware:
    """Returns a middleware that refuses what the rules refuse with status 403, and answers preflights (Fetch, 3.2)."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        refusal = rules.refusal(request.headers.get("Host"), origin)
        if refusal:
            return respond(HttpError(403, refusal))
        if origin is not None and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return web.Response(status=204, headers=_PREFLIGHT if rules.allows(origin) else None)
        return await handler(request)

    return check


def add_origin_check(app: web.Application, rules: AccessRules) -> None:
    """Makes an application, which was not started yet, check every request by the rules before all else."""

    async def admit_allowed_pages(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get("Origin")
        if rules.origins:
            response.headers["Vary"] = "Origin"
        if origin is not None and rules.allows(origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED

    app.middlewares.insert(0, check_origin(rules))
    app.on_response_prepare.append(admit_allowed_pages)


def _is_own(origin: str, host: str | None) -> bool:
    """Returns whether a page comes from the server that it asks, by the name that the page knows it by.

    A proxy may have ended TLS, so the scheme tells nothing but the port that browsers leave out.
    """
    scheme, separator, authority = origin.lower().partition("://")
    if host is None or not separator or not authority:
        return False
    default = _DEFAULT_PORTS.get(scheme, "")
    return authority.removesuffix(default) == host.lower().removesuffix(default)


def _shown(text: str) -> str:
    return text if text.isascii() and text.isprintable() and len(text) <= 100 else ascii(text[:100])
