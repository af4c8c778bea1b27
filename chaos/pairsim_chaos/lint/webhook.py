"""What Chaos Mesh's admission webhook refuses in a fault. Source: `api/v1alpha1/*_webhook.go` of Chaos Mesh 2.8."""

from __future__ import annotations

from collections.abc import Iterator

from pairsim_chaos.spec.field_path import Body, Field, Rule, Slip, shown
from pairsim_chaos.spec.quantities import bits_per_second, number, seconds, share, size_bytes, whole
from pairsim_chaos.spec.schema import FAULTS

DURATION = "write numbers with ns, us, ms, s, m or h: 90s, 24h"
"""What a duration is, for whoever wrote something else."""

_PERCENT_MODES = ("fixed-percent", "random-max-percent")


def targets(body: Body) -> tuple[Field, ...]:
    """Where a fault selects pods: itself, and the `target` of a `NetworkChaos`."""
    target = body.spec.at("target")
    return (body.spec, target) if body.kind == "NetworkChaos" and target.there else (body.spec,)


def mode_value(body: Body) -> Iterator[Slip]:
    """`value` of the modes that need one."""
    for target in targets(body):
        mode, value = target.at("mode").text, target.at("value")
        if value.there and not value.is_text:
            continue
        count = whole(value.text)
        told = f"{shown(value.text)} is no number" if value.there else "it is missing"
        if mode == "fixed" and (count is None or count <= 0):
            told = f"{value.text} pods are none" if count is not None else told
            yield Slip(value, f"mode fixed: {told}", 'write how many pods, in quotes: "1"')
        elif mode in _PERCENT_MODES and (count is None or not 0 < count <= 100):
            told = f"{value.text} is not within 1 and 100" if count is not None else told
            yield Slip(value, f"mode {mode}: {told}", 'write a percentage from 1 to 100, in quotes: "50"')


def _durations(body: Body) -> Iterator[Field]:
    spec = body.spec
    yield spec.at("duration")
    if body.kind == "NetworkChaos":
        yield from (spec.at("delay", "latency"), spec.at("delay", "jitter"))
    if body.kind == "IOChaos":
        yield spec.at("delay")
    if body.kind == "TimeChaos":
        yield spec.at("timeOffset")


def durations(body: Body) -> Iterator[Slip]:
    """All durations are Go's."""
    for field in _durations(body):
        if field.text and seconds(field.text) is None:
            yield Slip(field, f"{shown(field.text)} is no duration", DURATION)


SHARES = (("loss", "loss"), ("duplicate", "duplicate"), ("corrupt", "corrupt"), ("delay", "reorder", "reorder"))
CORRELATIONS = (
    *((name, "correlation") for name in ("delay", "loss", "duplicate", "corrupt")),
    ("delay", "reorder", "correlation"),
)


def percentages(body: Body) -> Iterator[Slip]:
    """Percentages of the network are numbers in quotes."""
    for names in (*SHARES, *CORRELATIONS):
        field = body.spec.at(*names)
        if field.text and number(field.text) is None:
            yield Slip(
                field, f"{shown(field.text)} is no number", 'write a percentage without its sign, in quotes: "30"'
            )


def container_names(body: Body) -> Iterator[Slip]:
    """A container-kill names its containers."""
    names = body.spec.at("containerNames")
    if body.spec.at("action").text == "container-kill" and not names.items:
        yield Slip(names, "container-kill does not say which container", "write containerNames: [simulator]")


def netem_direction(body: Body) -> Iterator[Slip]:
    """What shapes traffic can only shape it where it leaves."""
    spec, direction = body.spec, body.spec.at("direction")
    if spec.at("action").text == "partition" or direction.text not in ("from", "both"):
        return
    if not spec.at("target").there:
        yield Slip(direction, f"{direction.text} without a target", "write a target, or direction: to")
    if spec.at("externalTargets").there:
        yield Slip(
            spec.at("externalTargets"), f"external targets with direction {direction.text}", "write direction: to"
        )


def rates(body: Body) -> Iterator[Slip]:
    """Rates have Go's units."""
    for field in (body.spec.at("bandwidth", "rate"), body.spec.at("rate", "rate")):
        if field.is_text and bits_per_second(field.text) is None:
            yield Slip(
                field,
                f"{shown(field.text)} is no rate",
                "write a whole number with bit, kbit, mbit, gbit or tbit (bits a second), or bps … tbps (bytes)",
            )


def stressors(body: Body) -> Iterator[Slip]:
    """Something is stressed."""
    found = body.spec.at("stressors")
    inside = found.at("cpu").there or found.at("memory").there
    if (found.there and not inside) or not (found.there or body.spec.at("stressngStressors").text):
        yield Slip(found, "there is no stressor", "write stressors: with cpu: or memory:")


def memory_size(body: Body) -> Iterator[Slip]:
    """Sizes are docker's."""
    field = body.spec.at("stressors", "memory", "size")
    if not field.text:
        return
    part = share(field.text)
    if field.text.endswith("%") and (part is None or not 0 <= part <= 100):
        yield Slip(field, f"{shown(field.text)} is no share", "write 0% to 100%")
    elif not field.text.endswith("%") and size_bytes(field.text) is None:
        yield Slip(
            field, f"{shown(field.text)} is no size", "write a number with B, KB, MB or GB, or a share: 256MB, 50%"
        )


def errno(body: Body) -> Iterator[Slip]:
    """A fault is an error number; one below 0 cannot even be decoded, whatever the action."""
    field, instead = body.spec.at("errno"), "write errno: 5 (EIO), 28 (ENOSPC) or another"
    if field.whole is not None and field.whole < 0:
        yield Slip(field, f"{shown(field.whole)} is no error number", instead)
    elif body.spec.at("action").text == "fault" and (not field.there or field.whole == 0):
        yield Slip(field, "action fault has no error number", instead)


def io_percent(body: Body) -> Iterator[Slip]:
    """A share of the operations."""
    field = body.spec.at("percent")
    if field.whole is not None and not 0 <= field.whole <= 100:
        yield Slip(field, f"{shown(field.whole)} is no percentage", "write 1 to 100")


RULES = (
    Rule("mode-value", FAULTS, "mode `fixed` has a `value` above 0, percent modes one of 1 to 100", mode_value),
    Rule("duration", (*FAULTS, "StatusCheck"), "durations are Go's: ns, us, ms, s, m, h; there is no day", durations),
    Rule("percentage", ("NetworkChaos",), "percentages and correlations are numbers in quotes", percentages),
    Rule("container-names", ("PodChaos",), "`container-kill` has `containerNames`", container_names),
    Rule(
        "netem-direction",
        ("NetworkChaos",),
        "but for `partition`, direction `from` or `both` has a `target` and no `externalTargets`",
        netem_direction,
    ),
    Rule("rate", ("NetworkChaos",), "a rate is a whole number with `bit` (bits) or `bps` (bytes)", rates),
    Rule("stressors", ("StressChaos",), "there is at least one stressor", stressors),
    Rule("memory-size", ("StressChaos",), "a size is a number with a unit, or 0 % to 100 %", memory_size),
    Rule("errno", ("IOChaos",), "`errno` is not below 0, and above 0 with action `fault`", errno),
    Rule("io-percent", ("IOChaos",), "`percent` is within 0 and 100", io_percent),
)
