"""Hostile messages for every port of a world: HTTP requests, WebSocket frames, and bytes for peer ports.

None of them is a valid command or control request, so nothing that a client sees may change.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

_PATHS = (
    "/v1/status", "/v1/entities", "/v1/entities/1", "/v1/observe", "/v1/session", "/v1/watch", "/v1/digests",
    "/v1/backup",
    "/v1/commands", "/v1/assignment", "/v1/authority", "/v1/switchover", "/v1/leave", "/v1/world", "/v1/console",
    "/v1/processes", "/v1/targets", "/v1/kill", "/v1/processes/end", "/v1/processes/start",
    "/v1/processes/signal-engine", "/metrics",
    "/active", "/passive",
    "/livez", "/readyz", "/", "/v1", "//", "/%00", "/../../etc/passwd", "/v1/entities/", "/static/../console.js",
)  # fmt: skip
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE")
_REFUSED_METHODS = ("get", "BREW", "", "G\x00T")
_KEYS = ("limit", "after", "min", "max", "from", "to", "area", "columns", "rate", "tick", "", "%c3%a9", "limit[]")
_VALUES = (
    "", "0", "-1", "1e309", "nan", "inf", "9" * 40, "0x10", "1,2", "1,2,3", "1,2,3,4", "null", "%00", "%ff", "a" * 300,
    "%d9%a1",
    "true", "[]", "18446744073709551616", "9007199254740993", "-0", "%201", "1%20",
)  # fmt: skip
_HEADERS = (
    ("Host", ("127.0.0.1", "evil.example", "", "[::1", "127.0.0.1:99999")),
    ("Origin", ("http://evil.example", "null", "http://127.0.0.1")),
    ("Authorization", ("Bearer", "Bearer x", "Basic eDp5", "Bearer " + "a" * 4000)),
    ("Content-Type", ("application/json", "text/plain", "application/json; charset=utf-16", "multipart/form-data")),
    ("Content-Encoding", ("gzip", "br", "deflate")),
    ("Upgrade", ("websocket", "h2c")),
    ("Sec-WebSocket-Version", ("13", "0", "x")),
    ("Sec-WebSocket-Key", ("x", "dGhlIHNhbXBsZSBub25jZQ==")),
    ("X-Pairsim-Area", ("west", "other", "")),
    ("Accept-Encoding", ("gzip", "*", "identity;q=0")),
    ("Range", ("bytes=0-1", "bytes=-1", "x")),
)
_COMMANDS: tuple[object, ...] = (
    {"id": "x", "op": "impulse", "entity": 1, "components": {"impulse": ["x"]}},
    {"id": "x", "op": "impulse", "entity": -1, "components": {"impulse": [1, 2, 3]}},
    {"id": "x", "op": "set", "entity": 2**70, "components": {"position": [1, 2, 3]}},
    {"id": "", "op": "", "entity": None, "components": None},
    {"id": "y" * 1000, "op": "impulse", "entity": 1.5, "components": {"impulse": [1e309, 0, 0]}},
    {"op": "impulse"}, [], 0, None, True, "x", {"commands": []}, {"commands": [None]}, {"commands": {"x": 1}},
    [[[[[[]]]]]],
)  # fmt: skip


def http_request(rng: random.Random, methods: Sequence[str] = _METHODS) -> bytes:
    """Returns a request that a server can read to its end, so that it keeps the connection."""
    query = "&".join(f"{rng.choice(_KEYS)}={rng.choice(_VALUES)}" for _ in range(rng.randrange(4)))
    target = rng.choice(_PATHS) + (f"?{query}" if query else "")
    body = hostile_text(rng) if rng.random() < 0.6 else b""
    lines = [f"{rng.choice(methods)} {target} HTTP/1.1", f"Content-Length: {len(body)}"]
    chosen = rng.sample(_HEADERS, rng.randrange(4))
    lines += [f"{name}: {rng.choice(values)}" for name, values in chosen]
    if not any(name == "Host" for name, _values in chosen):
        lines.append("Host: 127.0.0.1")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def malformed_request(rng: random.Random) -> bytes:
    """Returns bytes that are not a request, or are only a part of one."""
    request = bytearray(http_request(rng, _METHODS + _REFUSED_METHODS))
    for _ in range(rng.randrange(1, 6)):
        request[rng.randrange(len(request))] = rng.randrange(256)
    return (
        bytes(request[: rng.randrange(1, len(request) + 1)])
        if rng.random() < 0.5
        else rng.randbytes(rng.randrange(1, 400))
    )


def hostile_text(rng: random.Random) -> bytes:
    """Returns a body or a frame: JSON that is not a valid command, or was changed in a few bytes."""
    commands = [rng.choice(_COMMANDS) for _ in range(rng.randrange(1, 4))]
    text = json.dumps(rng.choice((commands, {"commands": commands}, {"batch": 1, "commands": commands}, commands[0])))
    data = bytearray(text.encode())
    for _ in range(rng.choice((0, 0, 1, 3))):
        data[rng.randrange(len(data))] = rng.choice(b'{}[]",:0\x00\xff\xc3e-')
    return bytes(data)


def peer_bytes(rng: random.Random) -> bytes:
    """Returns bytes for a peer port, with a plausible length in front of some."""
    size = rng.choice((0, 1, 31, 32, 33, 64, 100, 65_535, 2**31 - 1, 2**32 - 1))
    return rng.choice((b"", size.to_bytes(4, "big"), size.to_bytes(4, "little"))) + rng.randbytes(rng.randrange(1, 600))
