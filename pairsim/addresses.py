"""Addresses as text: HOST:PORT, and the host of a URL. IPv6 addresses stand in brackets there (RFC 3986, 3.2.2).

A user may leave the brackets out, as in `$(POD_IP):7946`, because the last colon always separates the port. What
stands before it must then be an IPv6 address. Every other function takes and returns hosts without brackets, and every
address that is stored or sent is written by `format_address`, so that two equal addresses are equal texts.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

MAX_PORT = 65_535
_NAME = re.compile(r"[^\s\x00-\x1f:/\[\]@?#%\\]+")
_HOST_HEADER = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::[0-9]*)?")
_IPV6_HINT = "; write an IPv6 address in brackets, as in [::1]:8080"


class AddressError(ValueError):
    """Raised for a text that is not an address; the message is a sentence for the user."""


class HostPort(NamedTuple):
    """A host and a TCP port; the host is a name or an IP address without brackets."""

    host: str
    port: int


def parse_address(text: str, *, min_port: int = 0) -> HostPort:
    """Splits HOST:PORT at its last colon.

    Args:
        text: An address such as `localhost:8080`, `10.0.0.1:8080`, `[::1]:8080` or `::1:8080`.
        min_port: The lowest valid port: 0 for a server whose port the system chooses.

    Raises:
        AddressError: The text does not have this form.
    """
    host, colon, port = text.rpartition(":")
    bare = parse_host(host)
    number = int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else -1
    if not colon or not bare or not min_port <= number <= MAX_PORT:
        hint = _IPV6_HINT if text.count(":") > 1 and "//" not in text else ""
        raise AddressError(f"{text!r} is not HOST:PORT with a port of {min_port} to {MAX_PORT}{hint}")
    return HostPort(bare, number)


def parse_host(text: str) -> str:
    """Returns a host without brackets, an IPv6 address in its short form; empty if the text is not a host."""
    if text.startswith("[") and text.endswith("]"):
        return _ipv6(text[1:-1])
    return _ipv6(text) or (text if _NAME.fullmatch(text) else "")


def parse_host_header(text: str) -> str:
    """Returns the host of an HTTP `Host` header, which has a port or none, without brackets and in small letters.

    The result is empty if the header is not valid.
    """
    found = _HOST_HEADER.fullmatch(text.lower())
    return parse_host(found[1]) if found else ""


def format_address(host: str, port: int) -> str:
    """Returns HOST:PORT, with brackets around an IPv6 address."""
    return f"{_in_brackets(host)}:{port}"


def http_url(host: str, port: int) -> str:
    """Returns the URL of an HTTP server, without a slash at the end."""
    return f"http://{format_address(host, port)}"


def is_http_url(text: str) -> bool:
    """Returns whether a text is a URL of an HTTP or HTTPS server."""
    try:
        parts = urlsplit(text)
        valid_port = parts.port != 0
    except ValueError:
        return False
    host = parts.hostname or ""
    return parts.scheme in {"http", "https"} and valid_port and bool(parse_host(host)) and not set(text) & set(" \t\n")


def is_ipv6(host: str) -> bool:
    """Returns whether a host is an IPv6 address, with brackets or without."""
    return ":" in parse_host(host)


def is_wildcard(host: str) -> bool:
    """Returns whether a server at this host listens at every address of the machine, so that it names none of them."""
    return (parse_host(host) or host) in {"", "::", "0.0.0.0"}  # noqa: S104 - compared, and not listened at


def _in_brackets(host: str) -> str:
    bare = parse_host(host) or host
    return f"[{bare}]" if ":" in bare else bare


def _ipv6(text: str) -> str:
    """Returns an IPv6 address in its short form; empty if the text is not one.

    An address with a zone (`fe80::1%eth0`) is not valid: it means something on one machine only.
    """
    try:
        return ipaddress.IPv6Address(text).compressed if "%" not in text else ""
    except ValueError:
        return ""
