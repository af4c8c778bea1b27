"""Rules for faults that Chaos Mesh's admission webhook rejects.

Source: `api/v1alpha1/*_webhook.go` of Chaos Mesh 2.8.
"""

from __future__ import annotations

from collections.abc import Iterator

from pairsim_chaos.lint.rule import Problem, Rule
from pairsim_chaos.spec.embedded_specs import EmbeddedSpec
from pairsim_chaos.spec.field_path import Field, quote
from pairsim_chaos.spec.quantities import parse_duration, parse_float, parse_int, parse_percent, parse_rate, parse_size
from pairsim_chaos.spec.schema import SINGLE_FAULTS

DURATION_SUGGESTION = "write numbers with ns, us, ms, s, m or h: 90s, 24h"
"""The suggestion for a duration that cannot be parsed."""

_PERCENT_MODES = ("fixed-percent", "random-max-percent")


def selections(found: EmbeddedSpec) -> tuple[Field, ...]:
    """Returns the fields that select pods: the fault itself, and the `target` of a `NetworkChaos`."""
    target = found.spec.at("target")
    return (found.spec, target) if found.kind == "NetworkChaos" and target.exists else (found.spec,)


def mode_value(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks the `value` of the modes that need one."""
    for target in selections(found):
        mode, value = target.at("mode").text, target.at("value")
        if value.exists and not value.is_text:
            continue
        count = parse_int(value.text)
        wrong = f"{quote(value.text)} is not a number" if value.exists else "the value is missing"
        if mode == "fixed" and (count is None or count <= 0):
            wrong = f"{value.text} selects nothing" if count is not None else wrong
            yield Problem(value, f"mode fixed: {wrong}", 'write the number of pods, in quotes: "1"')
        elif mode in _PERCENT_MODES and (count is None or not 0 < count <= 100):
            wrong = f"{value.text} is not within 1 and 100" if count is not None else wrong
            yield Problem(value, f"mode {mode}: {wrong}", 'write a percentage from 1 to 100, in quotes: "50"')


def _durations(found: EmbeddedSpec) -> Iterator[Field]:
    spec = found.spec
    yield spec.at("duration")
    if found.kind == "NetworkChaos":
        yield from (spec.at("delay", "latency"), spec.at("delay", "jitter"))
    if found.kind == "IOChaos":
        yield spec.at("delay")
    if found.kind == "TimeChaos":
        yield spec.at("timeOffset")


def durations(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that Go can parse all durations."""
    for field in _durations(found):
        if field.text and parse_duration(field.text) is None:
            yield Problem(field, f"{quote(field.text)} is not a duration", DURATION_SUGGESTION)


SHARES = (("loss", "loss"), ("duplicate", "duplicate"), ("corrupt", "corrupt"), ("delay", "reorder", "reorder"))
CORRELATIONS = (
    *((name, "correlation") for name in ("delay", "loss", "duplicate", "corrupt")),
    ("delay", "reorder", "correlation"),
)


def percentages(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that percentages of packets are numbers in quotes."""
    for names in (*SHARES, *CORRELATIONS):
        field = found.spec.at(*names)
        if field.text and parse_float(field.text) is None:
            yield Problem(
                field, f"{quote(field.text)} is not a number", 'write a percentage without the % sign, in quotes: "30"'
            )


def container_names(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that a container-kill names its containers."""
    names = found.spec.at("containerNames")
    if found.spec.at("action").text == "container-kill" and not names.items:
        yield Problem(names, "action container-kill needs the names of containers", "write containerNames: [simulator]")


def netem_direction(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks directions: traffic can be shaped only where it leaves a pod."""
    spec, direction = found.spec, found.spec.at("direction")
    if spec.at("action").text == "partition" or direction.text not in ("from", "both"):
        return
    if not spec.at("target").exists:
        yield Problem(direction, f"direction {direction.text} needs a target", "write a target, or direction: to")
    if spec.at("externalTargets").exists:
        yield Problem(
            spec.at("externalTargets"),
            f"external targets do not work with direction {direction.text}",
            "write direction: to",
        )


def rates(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that Chaos Mesh can parse all rates."""
    for field in (found.spec.at("bandwidth", "rate"), found.spec.at("rate", "rate")):
        if field.is_text and parse_rate(field.text) is None:
            yield Problem(
                field,
                f"{quote(field.text)} is not a rate",
                "write a whole number with bit … tbit (bits per second) or bps … tbps (bytes per second)",
            )


def stressors(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that at least one resource is stressed."""
    field = found.spec.at("stressors")
    inside = field.at("cpu").exists or field.at("memory").exists
    if (field.exists and not inside) or not (field.exists or found.spec.at("stressngStressors").text):
        yield Problem(field, "the fault has no stressor", "write stressors: with cpu: or memory:")


def memory_size(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that docker's parser can read the size of memory."""
    field = found.spec.at("stressors", "memory", "size")
    if not field.text:
        return
    part = parse_percent(field.text)
    if field.text.endswith("%") and (part is None or not 0 <= part <= 100):
        yield Problem(field, f"{quote(field.text)} is not a share", "write 0% to 100%")
    elif not field.text.endswith("%") and parse_size(field.text) is None:
        yield Problem(
            field, f"{quote(field.text)} is not a size", "write a number with B, KB, MB or GB, or a share: 256MB, 50%"
        )


def errno(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks the error number of action `fault`; for every action, a number below 0 cannot be decoded."""
    field, suggestion = found.spec.at("errno"), "write errno: 5 (EIO), 28 (ENOSPC) or another"
    if field.integer is not None and field.integer < 0:
        yield Problem(field, f"{quote(field.integer)} is not an error number", suggestion)
    elif found.spec.at("action").text == "fault" and (not field.exists or field.integer == 0):
        yield Problem(field, "action fault needs an error number", suggestion)


def io_percent(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks the percentage of operations that are affected."""
    field = found.spec.at("percent")
    if field.integer is not None and not 0 <= field.integer <= 100:
        yield Problem(field, f"{quote(field.integer)} is not a percentage", "write 1 to 100")


RULES = (
    Rule(
        "mode-value",
        SINGLE_FAULTS,
        "mode `fixed` needs a `value` above 0; percent modes need a `value` from 1 to 100",
        mode_value,
    ),
    Rule(
        "duration",
        (*SINGLE_FAULTS, "StatusCheck"),
        "durations use the units of Go: ns, us, ms, s, m, h; days are not supported",
        durations,
    ),
    Rule("percentage", ("NetworkChaos",), "percentages and correlations are numbers in quotes", percentages),
    Rule("container-names", ("PodChaos",), "`container-kill` needs `containerNames`", container_names),
    Rule(
        "netem-direction",
        ("NetworkChaos",),
        "except for `partition`, direction `from` or `both` needs a `target` and excludes `externalTargets`",
        netem_direction,
    ),
    Rule("rate", ("NetworkChaos",), "a rate is a whole number with `bit` (bits) or `bps` (bytes)", rates),
    Rule("stressors", ("StressChaos",), "a stress fault needs at least one stressor", stressors),
    Rule("memory-size", ("StressChaos",), "a size is a number with a unit, or a share from 0% to 100%", memory_size),
    Rule("errno", ("IOChaos",), "`errno` must not be negative; action `fault` needs one above 0", errno),
    Rule("io-percent", ("IOChaos",), "`percent` must be from 0 to 100", io_percent),
)
