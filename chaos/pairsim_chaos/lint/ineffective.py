"""Rules for faults that Chaos Mesh accepts although they have no effect, never end, or have an unexpected effect.

Source: the behaviour of Chaos Mesh 2.8 and the code of its controllers (`controllers/chaosimpl`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from pairsim_chaos.lint.rule import Problem, Rule
from pairsim_chaos.lint.webhook import CORRELATIONS, SHARES
from pairsim_chaos.spec.embedded_specs import EmbeddedSpec
from pairsim_chaos.spec.field_path import quote
from pairsim_chaos.spec.quantities import parse_duration, parse_float, parse_rate
from pairsim_chaos.spec.schema import INSTANT_ACTIONS, INSTANT_ENGINE_ACTIONS, SINGLE_FAULTS

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
_NETEM = ("delay", "loss", "duplicate", "corrupt")
_PART_OF = {
    "IOChaos": {"latency": "delay", "attrOverride": "attr", "mistake": "mistake"},
    "NetworkChaos": {**{name: name for name in _NETEM}, "bandwidth": "bandwidth"},
}
"""The field that each action needs."""
_INSTANT = {"PodChaos": INSTANT_ACTIONS, "EngineChaos": INSTANT_ENGINE_ACTIONS}
_EXAMPLES = {
    "attr": "attr: {perm: 72}",
    "bandwidth": "bandwidth: {rate: 1mbit, limit: 20971520, buffer: 10000}",
    "corrupt": 'corrupt: {corrupt: "5"}',
    "duplicate": 'duplicate: {duplicate: "10"}',
    "loss": 'loss: {loss: "30"}',
    "mistake": "mistake: {filling: random, maxOccurrences: 1, maxLength: 10}",
}


def no_end(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that a lasting fault has a duration; in a workflow, the deadline of the template ends the fault."""
    end, action = found.spec.at("duration"), found.spec.at("action")
    instant = action.text in _INSTANT.get(found.kind, ()) or (found.kind == "PodChaos" and not action.exists)
    lasts = found.within != "template" and not instant
    if lasts and (not end.exists or end.value == ""):
        yield Problem(end, "the fault stays until a user deletes the experiment", "write duration: 30s")


def positive_durations(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks durations: Go accepts zero and negative durations; Chaos Mesh then injects nothing."""
    deadlines = [template.at("deadline") for template in found.spec.at("templates").items]
    for field in (found.spec.at("duration"), found.spec.at("delay", "latency"), *deadlines):
        length = parse_duration(field.text) if field.text else None
        if length is not None and length <= 0:
            yield Problem(field, f"{quote(field.text)} is not a positive duration", "write more than 0s")


def percent_range(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks the range of percentages, because the webhook checks only that they are numbers."""
    for names in (*SHARES, *CORRELATIONS):
        field = found.spec.at(*names)
        percent = parse_float(field.text) if field.text else None
        if percent is None:
            continue
        if not 0 <= percent <= 100:
            yield Problem(field, f"{quote(field.text)} is not within 0 and 100", 'write a percentage: "30"')
        elif percent == 0 and names in SHARES:
            yield Problem(field, "0 percent changes nothing", 'write a larger percentage: "30"')


def missing_part(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that the part that an action injects is written."""
    action = found.spec.at("action").text
    needed = _PART_OF.get(found.kind, {}).get(action)
    if needed and not found.spec.at(needed).exists:
        latency = "delay: {latency: 50ms}" if found.kind == "NetworkChaos" else "delay: 50ms"
        yield Problem(
            found.spec.at(needed),
            f"action {action} does nothing without this field",
            f"write {_EXAMPLES.get(needed, latency)}",
        )
    if action == "netem" and not any(found.spec.at(name).exists for name in (*_NETEM, "rate")):
        yield Problem(
            found.spec.at("action"),
            "action netem does nothing without a part",
            "write delay:, loss:, duplicate: or corrupt:",
        )


def other_part(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that no part of another action is written; Chaos Mesh ignores such a part or injects it as well."""
    action = found.spec.at("action").text
    if not action:
        return
    if found.kind == "NetworkChaos":
        ignored = action in ("partition", "bandwidth")
        for name in (*_NETEM, "bandwidth", "rate"):
            injected = name not in (action, "bandwidth", "rate") and not ignored
            if not found.spec.at(name).exists or name == action or (action == "netem" and name != "bandwidth"):
                continue
            wrong = f"action {action} injects this part as well" if injected else f"action {action} ignores this part"
            yield Problem(
                found.spec.at(name), wrong, "write action: netem, or remove the part" if injected else "remove the part"
            )
    unused: dict[str, dict[str, tuple[str, ...]]] = {
        "PodChaos": {"gracePeriod": ("pod-kill",), "containerNames": ("container-kill",), "duration": ("pod-failure",)},
        "IOChaos": {"delay": ("latency",), "errno": ("fault",), "attr": ("attrOverride",), "mistake": ("mistake",)},
        "EngineChaos": {"duration": ("hang", "raise")},
    }
    for name, actions in unused.get(found.kind, {}).items():
        field = found.spec.at(name)
        if field.exists and action not in actions:
            yield Problem(
                field, f"action {action} ignores this field", f"remove the field, or write action: {actions[0]}"
            )


def partition_target(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that a partition names its other side; without one, it cuts the pods off from everything."""
    spec = found.spec
    if spec.at("action").text == "partition" and not spec.at("target").exists and not spec.at("externalTargets").items:
        yield Problem(
            spec.at("target"),
            "a partition without a target drops all packets of its direction, those of probes included",
            "write a target",
        )


def rate_zero(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that a rate is above 0."""
    field = found.spec.at("bandwidth", "rate")
    if field.text and parse_rate(field.text) == 0:
        yield Problem(field, "a rate of 0 lets no packets through", "write 1mbit, or action: partition to cut the link")


def clocks(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that known clocks are shifted, and by more than nothing."""
    ids, offset = found.spec.at("clockIds"), found.spec.at("timeOffset")
    for field in ids.items:
        if field.is_text and field.text not in CLOCKS:
            yield Problem(field, f"{quote(field.text)} is not a clock", f"write one of {', '.join(CLOCKS)}")
    if not ids.items:
        yield Problem(
            ids,
            "only CLOCK_REALTIME is shifted, and elections do not read it",
            "write clockIds: [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW], or [CLOCK_REALTIME] if intended",
        )
    if parse_duration(offset.text) == 0:
        yield Problem(offset, "an offset of 0 does not shift the clock", "write 10m or -5s")


def io_path(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that the affected files are inside the volume."""
    volume, path = found.spec.at("volumePath"), found.spec.at("path")
    if volume.is_text and not volume.text.startswith("/"):
        yield Problem(volume, f"{quote(volume.text)} is not an absolute path", "write the volume's absolute path")
    elif path.text and not path.text.startswith("**") and not _inside(path.text, volume.text):
        yield Problem(
            path, f"{quote(path.text)} is not inside the volume", f"write a pattern below it: {volume.text[:60]}/**/*"
        )


def _inside(path: str, volume: str) -> bool:
    return PurePosixPath(path).is_relative_to(PurePosixPath(volume)) if volume else True


def io_methods(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that Chaos Mesh can affect the methods."""
    for field in found.spec.at("methods").items:
        if field.is_text and field.text not in IO_METHODS:
            yield Problem(field, f"{quote(field.text)} is not a method", f"write some of {', '.join(IO_METHODS)}")


def io_percent_zero(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that at least some operations are affected."""
    field = found.spec.at("percent")
    if field.integer == 0 and field.exists:
        yield Problem(field, "0 percent of the operations has no effect", "write 1 to 100, or remove the field")


def stress_size(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks the number of workers, the size of memory, and that only one notation is used."""
    spec, parts = found.spec, found.spec.at("stressors")
    for field in (parts.at("cpu", "workers"), parts.at("memory", "workers")):
        if field.integer is not None and field.integer <= 0:
            yield Problem(field, f"{quote(field.integer)} workers have no effect", "write 1 or more")
    memory = parts.at("memory")
    if memory.exists and not memory.at("size").text:
        yield Problem(memory.at("size"), "each worker takes all available memory", "write size: 256MB")
    if spec.at("stressngStressors").text and parts.exists:
        yield Problem(parts, "this field is ignored because stressngStressors takes precedence", "remove one of them")


RULES = (
    Rule("no-end", SINGLE_FAULTS, "a lasting fault needs a `duration`", no_end),
    Rule(
        "no-time",
        (*SINGLE_FAULTS, "Workflow"),
        "durations, latencies and deadlines must be above 0",
        positive_durations,
    ),
    Rule(
        "percent-range",
        ("NetworkChaos",),
        "percentages must be from 0 to 100, and above 0 unless they are correlations",
        percent_range,
    ),
    Rule("missing-part", ("NetworkChaos", "IOChaos"), "an action needs the part that it injects", missing_part),
    Rule("other-part", SINGLE_FAULTS, "a fault must not have parts of another action", other_part),
    Rule(
        "partition-target", ("NetworkChaos",), "a `partition` needs a `target` or `externalTargets`", partition_target
    ),
    Rule("rate-zero", ("NetworkChaos",), "a rate must be above 0", rate_zero),
    Rule("clock", ("TimeChaos",), "`clockIds` must name clocks, and the offset must not be 0", clocks),
    Rule("io-path", ("IOChaos",), "`volumePath` must be absolute, and `path` must be below it", io_path),
    Rule("io-method", ("IOChaos",), "`methods` must be methods that Chaos Mesh can affect", io_methods),
    Rule("io-nothing", ("IOChaos",), "`percent` must be above 0", io_percent_zero),
    Rule(
        "stress-size",
        ("StressChaos",),
        "workers must be above 0, memory needs a `size`, and only one of the two notations may be used",
        stress_size,
    ),
)
