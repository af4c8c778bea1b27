"""Faults that Chaos Mesh accepts and that do nothing, never end, or do something else than they say.

Seen with Chaos Mesh 2.8 and read off its controllers (`controllers/chaosimpl`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from pairsim_chaos.lint.webhook import CORRELATIONS, SHARES
from pairsim_chaos.spec.field_path import Body, Rule, Slip, shown
from pairsim_chaos.spec.quantities import bits_per_second, number, seconds
from pairsim_chaos.spec.schema import FAULTS

CLOCKS = (
    "CLOCK_REALTIME",
    "CLOCK_MONOTONIC",
    "CLOCK_PROCESS_CPUTIME_ID",
    "CLOCK_THREAD_CPUTIME_ID",
    "CLOCK_MONOTONIC_RAW",
    "CLOCK_REALTIME_COARSE",
    "CLOCK_MONOTONIC_COARSE",
    "CLOCK_BOOTTIME",
    "CLOCK_REALTIME_ALARM",
    "CLOCK_BOOTTIME_ALARM",
)
# fmt: off
IO_METHODS = (
    "lookup", "forget", "getattr", "setattr", "readlink", "mknod", "mkdir", "unlink", "rmdir", "symlink", "rename",
    "link", "open", "read", "write", "flush", "release", "fsync", "opendir", "readdir", "releasedir", "fsyncdir",
    "statfs", "setxattr", "getxattr", "listxattr", "removexattr", "access", "create", "getlk", "setlk", "bmap",
)
# fmt: on
ONCE = ("pod-kill", "container-kill")
"""Actions that are done when they are done."""
_NETEM = ("delay", "loss", "duplicate", "corrupt")
_BODY_OF = {
    "IOChaos": {"latency": "delay", "attrOverride": "attr", "mistake": "mistake"},
    "NetworkChaos": {**{name: name for name in _NETEM}, "bandwidth": "bandwidth"},
}
"""The field that an action needs."""
_EXAMPLES = {
    "attr": "attr: {perm: 72}",
    "bandwidth": "bandwidth: {rate: 1mbit, limit: 20971520, buffer: 10000}",
    "corrupt": 'corrupt: {corrupt: "5"}',
    "duplicate": 'duplicate: {duplicate: "10"}',
    "loss": 'loss: {loss: "30"}',
    "mistake": "mistake: {filling: random, maxOccurrences: 1, maxLength: 10}",
}


def no_end(body: Body) -> Iterator[Slip]:
    """A fault that lasts has an end; in a workflow its template has."""
    end, action = body.spec.at("duration"), body.spec.at("action")
    once = body.kind == "PodChaos" and (action.text in ONCE or not action.there)
    lasts = body.within != "template" and not once
    if lasts and (not end.there or end.value == ""):
        yield Slip(end, "the fault stays until somebody deletes it", "write duration: 30s")


def no_time(body: Body) -> Iterator[Slip]:
    """Durations of nothing and less are durations to Go."""
    deadlines = [template.at("deadline") for template in body.spec.at("templates").items]
    for field in (body.spec.at("duration"), body.spec.at("delay", "latency"), *deadlines):
        length = seconds(field.text) if field.text else None
        if length is not None and length <= 0:
            yield Slip(field, f"{shown(field.text)} is no time at all", "write more than 0s")


def percent_range(body: Body) -> Iterator[Slip]:
    """The webhook only looks whether it is a number."""
    for names in (*SHARES, *CORRELATIONS):
        field = body.spec.at(*names)
        share = number(field.text) if field.text else None
        if share is None:
            continue
        if not 0 <= share <= 100:
            yield Slip(field, f"{shown(field.text)} is not within 0 and 100", 'write a percentage: "30"')
        elif share == 0 and names in SHARES:
            yield Slip(field, "a share of 0 changes nothing", 'write more: "30"')


def missing_part(body: Body) -> Iterator[Slip]:
    """An action without what it does, does nothing."""
    action = body.spec.at("action").text
    needed = _BODY_OF.get(body.kind, {}).get(action)
    if needed and not body.spec.at(needed).there:
        latency = "delay: {latency: 50ms}" if body.kind == "NetworkChaos" else "delay: 50ms"
        yield Slip(
            body.spec.at(needed), f"action {action} does nothing without it", f"write {_EXAMPLES.get(needed, latency)}"
        )
    if action == "netem" and not any(body.spec.at(name).there for name in (*_NETEM, "rate")):
        yield Slip(
            body.spec.at("action"), "action netem does nothing alone", "write delay:, loss:, duplicate: or corrupt:"
        )


def other_part(body: Body) -> Iterator[Slip]:
    """Parts of another action are ignored, or are injected as well."""
    action = body.spec.at("action").text
    if not action:
        return
    if body.kind == "NetworkChaos":
        ignored = action in ("partition", "bandwidth")
        for name in (*_NETEM, "bandwidth", "rate"):
            both = name not in (action, "bandwidth", "rate") and not ignored
            if not body.spec.at(name).there or name == action or (action == "netem" and name != "bandwidth"):
                continue
            wrong = f"action {action} injects it as well" if both else f"action {action} does not look at it"
            yield Slip(body.spec.at(name), wrong, "write action: netem, or leave it out" if both else "leave it out")
    unused = {
        "PodChaos": {"gracePeriod": ("pod-kill",), "containerNames": ("container-kill",), "duration": ("pod-failure",)},
        "IOChaos": {"delay": ("latency",), "errno": ("fault",), "attr": ("attrOverride",), "mistake": ("mistake",)},
    }
    for name, actions in unused.get(body.kind, {}).items():
        field = body.spec.at(name)
        if field.there and action not in actions:
            yield Slip(field, f"action {action} does not look at it", f"leave it out, or write action: {actions[0]}")


def partition_target(body: Body) -> Iterator[Slip]:
    """A partition from nobody is one from everybody."""
    spec = body.spec
    if spec.at("action").text == "partition" and not spec.at("target").there and not spec.at("externalTargets").items:
        yield Slip(
            spec.at("target"), "a partition without target drops all that goes that way, probes too", "write a target"
        )


def rate_zero(body: Body) -> Iterator[Slip]:
    """Nothing flows at no rate."""
    field = body.spec.at("bandwidth", "rate")
    if field.text and bits_per_second(field.text) == 0:
        yield Slip(field, "a rate of 0 is none", "write 1mbit, or action: partition to let nothing through")


def clocks(body: Body) -> Iterator[Slip]:
    """Which clocks are shifted."""
    ids, offset = body.spec.at("clockIds"), body.spec.at("timeOffset")
    for field in ids.items:
        if field.is_text and field.text not in CLOCKS:
            yield Slip(field, f"there is no clock {shown(field.text)}", f"write one of {', '.join(CLOCKS)}")
    if not ids.items:
        yield Slip(
            ids,
            "only CLOCK_REALTIME is shifted, and elections do not read it",
            "write clockIds: [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW], or [CLOCK_REALTIME] to mean that",
        )
    if seconds(offset.text) == 0:
        yield Slip(offset, "an offset of nothing shifts no clock", "write 10m or -5s")


def io_path(body: Body) -> Iterator[Slip]:
    """Which files are touched."""
    volume, path = body.spec.at("volumePath"), body.spec.at("path")
    if volume.is_text and not volume.text.startswith("/"):
        yield Slip(volume, f"{shown(volume.text)} is no mount point", "write the volume's absolute path")
    elif path.text and not path.text.startswith("**") and not _inside(path.text, volume.text):
        yield Slip(
            path, f"{shown(path.text)} is not in the volume", f"write a pattern below it: {volume.text[:60]}/**/*"
        )


def _inside(path: str, volume: str) -> bool:
    return PurePosixPath(path).is_relative_to(PurePosixPath(volume)) if volume else True


def io_methods(body: Body) -> Iterator[Slip]:
    """Which calls are touched."""
    for field in body.spec.at("methods").items:
        if field.is_text and field.text not in IO_METHODS:
            yield Slip(field, f"there is no method {shown(field.text)}", f"write some of {', '.join(IO_METHODS)}")


def io_nothing(body: Body) -> Iterator[Slip]:
    """No operation is touched."""
    field = body.spec.at("percent")
    if field.whole == 0 and field.there:
        yield Slip(field, "0 percent of the operations are none", "write 1 to 100, or leave it out")


def stress_size(body: Body) -> Iterator[Slip]:
    """How hard it is stressed."""
    spec, found = body.spec, body.spec.at("stressors")
    for field in (found.at("cpu", "workers"), found.at("memory", "workers")):
        if field.whole is not None and field.whole <= 0:
            yield Slip(field, f"{shown(field.whole)} workers stress nothing", "write 1 or more")
    memory = found.at("memory")
    if memory.there and not memory.at("size").text:
        yield Slip(memory.at("size"), "each worker takes all memory that there is", "write size: 256MB")
    if spec.at("stressngStressors").text and found.there:
        yield Slip(found, "stressngStressors wins, and this is not looked at", "leave one of them out")


RULES = (
    Rule("no-end", FAULTS, "a fault that lasts has a `duration`", no_end),
    Rule("no-time", (*FAULTS, "Workflow"), "durations, latencies and deadlines are above 0", no_time),
    Rule("percent-range", ("NetworkChaos",), "percentages are within 0 and 100, and a share above 0", percent_range),
    Rule("missing-part", ("NetworkChaos", "IOChaos"), "an action has the part that it injects", missing_part),
    Rule("other-part", FAULTS, "a fault has no parts of another action", other_part),
    Rule("partition-target", ("NetworkChaos",), "a `partition` has a `target` or `externalTargets`", partition_target),
    Rule("rate-zero", ("NetworkChaos",), "a rate is above 0", rate_zero),
    Rule("clock", ("TimeChaos",), "`clockIds` are there and are clocks, and the offset is not 0", clocks),
    Rule("io-path", ("IOChaos",), "`volumePath` is absolute, and `path` below it", io_path),
    Rule("io-method", ("IOChaos",), "`methods` are ones that Chaos Mesh can touch", io_methods),
    Rule("io-nothing", ("IOChaos",), "`percent` is above 0", io_nothing),
    Rule(
        "stress-size",
        ("StressChaos",),
        "there are workers, memory has a `size`, and one of the two notations is used",
        stress_size,
    ),
)
