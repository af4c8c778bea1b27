"""Documents as they travel, by the names that `product.JSON_DOCUMENTS` and its like have for them."""

from __future__ import annotations

BOX = {"min": [0.0, 0.0, 0.0], "max": [1.0, 2.0, 3.0]}
MEMBERS = [
    {"replica": name, "peer": f"127.0.0.1:{port}", "url": f"http://127.0.0.1:{port + 10}"}
    for name, port in (("a", 1), ("b", 2), ("w", 3))
]
SPEC = {
    "area": "north", "plane": "physics", "simulator": "physics", "parameters": {"collisions": True, "drag": 0.5},
    "seed": 7, "tick_rate": 20.0, "bounds": BOX, "world": BOX, "entities": 10,
}  # fmt: skip
ASSIGNMENT = {"spec": SPEC, "generation": 2, "replicas": MEMBERS[:2], "witness": MEMBERS[2], "joins": ["b"]}
CELL = {"number": 1, "area": "north", "bounds": BOX, "replicas": MEMBERS[:2]}
AUTHORITY = {"area": "north", "version": 2, "cells": [CELL]}
MAPS = {"physics": {"version": 2, "highest": 3, "numbers": {"north": 1}, "digest": "00000000000000ff"}}
COMMAND = {"id": "c1", "op": "set", "entity": 1, "components": {"mass": 1.0, "position": [1.0, 2.0, 3.0]}}
FOLLOWED = {"id": "c4", "op": "set", "entity": 4, "components": {"mass": 1.0}, "attempt": 1}
RESULTS = [
    {"id": "c1", "status": "applied", "tick": 9},
    {"id": "c2", "status": "rejected", "tick": 9, "reason": "no such entity"},
    {"id": "c3", "status": "duplicate", "tick": 8},
    {"id": "c4", "status": "moved", "tick": 9, "area": "south", "urls": ["http://127.0.0.1:14"]},
]
ENTITY = {"id": 1, "components": {"mass": 1.0, "position": [1.0, 2.0, 3.0]}}
METADATA = {"name": "north", "namespace": "worlds", "labels": {"l": "v"}, "annotations": {"a": "v"}}
STATUS = {
    "plane": "physics", "area": "north", "replica": "a", "role": "active", "generation": 1, "term": 2, "version": 1,
    "tick": 10, "synced_tick": 9, "digest": "00000000000000ff", "entities": 3, "leader": "a",
    "members": ["a", "b", "w"], "in_sync": True, "peer_in_sync": True, "started_at": 1.5, "pid": 7,
    "peer": "127.0.0.1:1", "divergences": 0, "leaving": False, "succession": "it handed over", "pace": 1.0,
    "tick_ms": 2.5, "problem": "", "addresses": ["a:1", "b:2", "w:3"],
}  # fmt: skip
GROUP = {
    "area": "north", "generation": 1, "term": 2, "tick": 10, "leader": None, "members": ["a", "b", "w"], "votes": True,
    "addresses": ["a:1", "b:2", "w:3"], "problem": "",
}  # fmt: skip
REPLICA = {
    "replica": "a", "role": "active", "term": 2, "tick": 10, "lag_ticks": 1, "entities": 3,
    "url": "http://127.0.0.1:11", "pid": 7, "divergences": 0,
}  # fmt: skip
PROCESS = {"url": "http://127.0.0.1:13", "pid": None, "name": "w"}
PICTURE = {
    "areas": [
        {
            "area": "north", "plane": "physics", "bounds": BOX, "redundant": True, "generation": 1,
            "replicas": [REPLICA], "witness": PROCESS, "missing": "", "pace": 1.0, "slow": "",
            "tick_ms": 2.5,
        }
    ],
    "spares": [PROCESS],
}  # fmt: skip
CONDITION = {
    "type": "Ready", "status": "True", "reason": "Active", "message": "it is", "observedGeneration": 3,
    "lastTransitionTime": "2026-01-01T00:00:00.000Z",
}  # fmt: skip
STORED = {"generation": 2, "replicas": MEMBERS[:2], "witness": MEMBERS[2], "joins": ["b"]}
AREA_STATUS = {
    "observedGeneration": 3, "conditions": [CONDITION], "active": "a", "passive": "b", "witness": "w", "term": 2,
    "tick": 10, "synced": True, "entities": 3, "generation": 2, "number": 1, "cell": BOX, "version": 2,
    "lastTakeover": {
        "time": "2026-01-01T00:00:00.000Z", "reason": "Takeover", "durationMs": 12.5, "ticksLost": 0, "from": "b",
        "to": "a",
    },
    "assignment": STORED, "backup": "north.jsonl.gz",
}  # fmt: skip

JSON: dict[str, object] = {
    "world file: Plane": {
        "apiVersion": "pairsim.io/v1alpha1",
        "kind": "Plane",
        "metadata": METADATA,
        "spec": {
            "simulator": "physics", "bounds": BOX, "tickRate": 30.0, "seed": 3, "parameters": {"drag": 0.5},
            "areas": 4,
        },
    },
    "world file: Area": {
        "apiVersion": "pairsim.io/v1alpha1",
        "kind": "Area",
        "metadata": METADATA,
        "spec": {"plane": "physics", "bounds": BOX, "entities": 5},
    },
    "status of a simulator": STATUS,
    "status of a witness": {
        "replica": "w", "started_at": 1.5, "pid": 7, "peer": "127.0.0.1:3", "areas": [GROUP], "leaving": False,
    },
    "assignment": ASSIGNMENT,
    "authority": AUTHORITY,
    "maps of a world": {"planes": [{"plane": "physics", "version": 2, "cells": [CELL]}]},
    "records in maps.json": MAPS,
    "commands": {"commands": [COMMAND]},
    "answer to commands": {"term": 2, "results": RESULTS},
    "entity": {"id": 1, "tick": 10, "term": 2, "components": {"mass": 1.0}},
    "entities": {"tick": 10, "term": 2, "entities": [ENTITY], "next": None},
    "digests": {"digests": {"10": "00000000000000ff"}},
    "switchover": {"gap_ms": 6.5, "term": 3},
    "error": {"error": "a sentence", "unknown": True},
    "world as `pairsim status --json` shows it": PICTURE,
    "process of a local world": {
        "process": "a", "kind": "simulator", "plane": "physics", "area": "north", "role": "active",
        "url": "http://127.0.0.1:11", "peer": "127.0.0.1:1", "pid": 7, "network": "", "folder": "/data/a",
        "engine_pid": 8,
    },
    "order to kill or to switch over": {"area": "north", "role": "passive", "engine": True},
    "order to end a process": {"process": "a", "grace": 1.0, "away": 2.0, "fresh": True},
    "order to start a process": {"process": "a"},
    "order to signal an engine": {"process": "a", "signal": "SIGSTOP", "pid": 8},
    "console: event": {
        "number": 1, "at": 2.0, "area": "north", "kind": "takeover", "replica": "a", "before": "b", "term": 2,
        "tick": 10, "seconds": 0.5, "about": "why", "sentence": "a is active in place of b (why)",
    },
    "console: sample": {"area": "north", "tick": 10, "points": [1.0, 2.0], "entities": 1},
    "line of a backup": {**COMMAND, "op": "spawn"},
    "status of an Area": AREA_STATUS,
    "assignment in the status of an Area": STORED,
    "status of a Plane": {
        "observedGeneration": 1, "areas": 2, "selector": "a=b", "conditions": [CONDITION], "version": 2,
        "highestNumber": 3, "mapDigest": "00000000000000ff",
    },
    "slot in pool.json": {"name": "a", "kind": "simulator", "http_port": 1, "peer_port": 2, "host": "10.0.0.1"},
}  # fmt: skip

_COLUMN = {"dtype": "<f4", "width": 1, "data": b"\0\0\x80\x3f"}
_ROWS = {"ids": (1).to_bytes(8, "little"), "components": {"mass": _COLUMN}}
_NONE: dict[str, object] = {"ids": b"", "components": {}}

MESSAGEPACK: dict[str, list[dict[str, object]]] = {
    "session: batch": [{"seq": 1, "commands": [COMMAND]}],
    "session: answer": [
        {"seq": 1, "term": 2, "results": RESULTS},
        {"seq": 2, "error": "a sentence", "code": 503, "retry": True, "unknown": True},
        {"seq": 3, "error": "a sentence", "code": 400},
    ],
    "observe: frame": [
        {"tick": 10, "term": 2, "keyframe": True, "enter": _ROWS, "update": _NONE, "leave": b""},
        {"tick": 11, "term": 2, "keyframe": False, "enter": _NONE, "update": _ROWS, "leave": b"\1" + bytes(7)},
        {
            "tick": 12,
            "term": 2,
            "keyframe": False,
            "enter": _NONE,
            "update": _NONE,
            "leave": b"\2" + bytes(7),
            "clock": 15,
            "moved": {"east": b"\2" + bytes(7)},
            "gone": b"\3" + bytes(7),
        },
    ],
}

_TAKEOVER = {"area": "north", "term": 2, "before": "a", "after": "b", "pause": 0.1}
_CHECK = {"name": "what must hold", "held": False, "figure": "1 of 2", "reasons": ["why"], "violated": True}
VERDICTS: list[dict[str, object]] = [
    {
        "experiment": "kill", "file": "kill.yaml", "refused": "", "made": True, "failed": "", "targets": ["a"],
        "seconds": 12.5, "checks": [_CHECK, _CHECK | {"held": True, "violated": False, "reasons": []}],
        "availability": 0.99, "longest": 0.1, "redundant_after": 1.5, "takeovers": [_TAKEOVER],
    },
    {"experiment": "cut", "file": "cut.yaml", "refused": "it needs root"},
]  # fmt: skip
