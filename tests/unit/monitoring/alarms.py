"""What every alert fires at, and what it keeps quiet at: series as promtool takes them, one value each 15 s."""

from __future__ import annotations

from typing import NamedTuple

_HERE = 'job="pairsim", namespace="n"'
_ELSEWHERE = 'job="pairsim", namespace="local"'
_ACTIVE = f'{_HERE}, area="west", pod="a", container="simulator"'
_PASSIVE = f'{_HERE}, area="west", pod="b", container="simulator"'
_WITNESS = f'{_HERE}, area="west", pod="w", container="witness"'
_CONTROLLER = f'{_HERE}, pod="c", container="controller"'

Series = dict[str, str]


class Alarm(NamedTuple):
    """One alert: it fires at `at` with `bad` and with any of `worse`, and not with `good` or any of `better`."""

    bad: Series
    good: Series
    at: str = "10m"
    worse: tuple[Series, ...] = ()
    better: tuple[Series, ...] = ()


_HERE_AND_LEADING: Series = {
    f'pairsim_role{{{_ACTIVE}, role="active"}}': "1x60",
    f"pairsim_tick_rate_hertz{{{_ACTIVE}}}": "20x60",
}


def _both(name: str, active: str, passive: str, more: str = "") -> Series:
    return {f"{name}{{{_ACTIVE}{more}}}": active, f"{name}{{{_PASSIVE}{more}}}": passive}


def _histogram(name: str, below: str, quick: str, count: str) -> Series:
    """Of which `quick` are below a bound, out of `count`."""
    return {
        f'{name}_bucket{{{_ACTIVE}, le="{below}"}}': quick,
        f'{name}_bucket{{{_ACTIVE}, le="0.1"}}': count,
        f'{name}_bucket{{{_ACTIVE}, le="+Inf"}}': count,
    } | _HERE_AND_LEADING


def _takeover(count: str, seconds: str = "0x60", switchovers: str = "0x60") -> Series:
    """As the new active counts; the old one is not there any more."""
    return {
        f"pairsim_takeover_seconds_count{{{_PASSIVE}}}": count,
        f"pairsim_takeover_seconds_sum{{{_PASSIVE}}}": seconds,
        f"pairsim_switchovers_total{{{_PASSIVE}}}": switchovers,
    }


_NEVER = "0x60"
_ONCE = "0x30 1x30"
_TWICE = "0+1x1 2x60"
_OFTEN = "0+1x3 4x60"

ALARMS: dict[str, Alarm] = {
    "PairsimAreaDown": Alarm(
        {f"pairsim_generation{{{_WITNESS}}}": "1x60"},
        {f"pairsim_generation{{{_WITNESS}}}": "1x60", **_HERE_AND_LEADING},
    ),
    "PairsimTwoActives": Alarm(
        _both("pairsim_role", "1x60", "1x60", ', role="active"') | _both("pairsim_term", "3x60", "3x60"),
        _both("pairsim_role", "1x60", "1x60", ', role="active"') | _both("pairsim_term", "3x60", "4x60"),
    ),
    "PairsimStateDiverged": Alarm(
        {f"pairsim_divergences_total{{{_PASSIVE}}}": _ONCE},
        {f"pairsim_divergences_total{{{_PASSIVE}}}": "1x60"},
    ),
    "PairsimTicksUndone": Alarm(
        {f"pairsim_controller_undone_ticks_total{{{_CONTROLLER}}}": _ONCE},
        {f"pairsim_controller_undone_ticks_total{{{_CONTROLLER}}}": "0x60"},
    ),
    "PairsimAreaTakenOver": Alarm(
        _takeover(_ONCE),
        _takeover(_NEVER, switchovers=_ONCE),
        worse=(_takeover(_ONCE, switchovers=_ONCE),),
    ),
    "PairsimAreaFlapping": Alarm(
        _takeover(_OFTEN),
        _takeover(_ONCE, switchovers=_TWICE),
        worse=(_takeover(_TWICE, switchovers=_TWICE),),
    ),
    "PairsimTakeoverSlow": Alarm(_takeover(_ONCE, "0x30 0.8x30"), _takeover(_ONCE, "0x30 0.03x30")),
    "PairsimAreaNotRedundant": Alarm(
        _both("pairsim_in_sync", "1x60", "1x60") | _both("pairsim_quorum_members", "2x60", "2x60"),
        _both("pairsim_in_sync", "1x60", "1x60") | _both("pairsim_quorum_members", "3x60", "2x60"),
    ),
    "PairsimTicksSlow": Alarm(
        {f"pairsim_tick_seconds_count{{{_ACTIVE}}}": "0+225x60", **_HERE_AND_LEADING},
        {f"pairsim_tick_seconds_count{{{_ACTIVE}}}": "0+300x60", **_HERE_AND_LEADING},
    ),
    "PairsimTickTooLong": Alarm(
        _histogram("pairsim_tick_seconds", "0.03", "0+290x60", "0+300x60"),
        _histogram("pairsim_tick_seconds", "0.03", "0+299x60", "0+300x60"),
    ),
    "PairsimCommitSlow": Alarm(
        _histogram("pairsim_commit_seconds", "0.05", "0+290x60", "0+300x60"),
        _histogram("pairsim_commit_seconds", "0.05", "0+299x60", "0+300x60"),
    ),
    "PairsimSyncLag": Alarm(
        {f"pairsim_sync_lag_ticks{{{_ACTIVE}}}": "90x60"},
        {f"pairsim_sync_lag_ticks{{{_ACTIVE}}}": "2x60"},
    ),
    "PairsimCommandsRefused": Alarm(
        _both("pairsim_commands_total", "0+100x60", "0x60", ', result="applied"')
        | _both("pairsim_commands_total", "0+20x60", "0x60", ', result="refused"')
        | _HERE_AND_LEADING,
        _both("pairsim_commands_total", "0+100x60", "0x60", ', result="applied"')
        | _both("pairsim_commands_total", "0+1x60", "0+9x60", ', result="refused"')
        | _HERE_AND_LEADING,
    ),
    "PairsimProcessDown": Alarm({f"up{{{_PASSIVE}}}": "1x20 0x40"}, {f"up{{{_PASSIVE}}}": "1x60"}),
    "PairsimNoSpares": Alarm(
        {f"pairsim_spares{{{_CONTROLLER}}}": "0x60"},
        {f"pairsim_spares{{{_CONTROLLER}}}": "0x5 1x60"},
    ),
    "PairsimControllerDown": Alarm(
        {
            f"up{{{_ACTIVE}}}": "1x60",
            f"up{{{_CONTROLLER}}}": "1x60",
            f"pairsim_controller_leading{{{_CONTROLLER}}}": "0x60",
        },
        {
            f"up{{{_ACTIVE}}}": "1x60",
            f"up{{{_CONTROLLER}}}": "1x60",
            f"pairsim_controller_leading{{{_CONTROLLER}}}": "1x60",
        },
        worse=(
            {f"up{{{_ACTIVE}}}": "1x60"},
            {f"up{{{_ACTIVE}}}": "1x60", f'up{{{_ELSEWHERE}, pod="u", container="up"}}': "1x60"},
            {
                f"up{{{_ACTIVE}}}": "1x60",
                f"up{{{_CONTROLLER}}}": "1x20 stale",
                f"pairsim_controller_leading{{{_CONTROLLER}}}": "1x20 stale",
            },
        ),
        better=({f"up{{{_ACTIVE}}}": "1x60", f'up{{{_HERE}, pod="u", container="up"}}': "1x60"},),
    ),
    "PairsimControllerApiErrors": Alarm(
        {
            f'pairsim_controller_api_requests_total{{{_CONTROLLER}, status="200"}}': "0+10x60",
            f'pairsim_controller_api_requests_total{{{_CONTROLLER}, status="0"}}': "0+5x60",
        },
        {
            f'pairsim_controller_api_requests_total{{{_CONTROLLER}, status="200"}}': "0+10x60",
            f'pairsim_controller_api_requests_total{{{_CONTROLLER}, status="409"}}': "0+5x60",
        },
    ),
    "PairsimOutboxWaits": Alarm(
        {f'pairsim_outbox_age_seconds{{{_ACTIVE}, neighbour="east"}}': "0+15x60"},
        {f'pairsim_outbox_age_seconds{{{_ACTIVE}, neighbour="east"}}': "0 16x37 0x60"},
        better=({f'pairsim_outbox_age_seconds{{{_ACTIVE}, neighbour="east"}}': "14x60"},),
    ),
    "PairsimConflicts": Alarm(
        {f"pairsim_conflicts_total{{{_ACTIVE}}}": _ONCE},
        {f"pairsim_conflicts_total{{{_ACTIVE}}}": "3x60"},
    ),
    "PairsimEntitiesNowhere": Alarm(
        {f"pairsim_nowhere_entities{{{_ACTIVE}}}": "3x60"},
        {f"pairsim_nowhere_entities{{{_ACTIVE}}}": "0x30 3x30"},
    ),
    "PairsimEntitiesUnaccounted": Alarm(
        {f'pairsim_unaccounted_entities{{{_CONTROLLER}, plane="physics"}}': "1x60"},
        {f'pairsim_unaccounted_entities{{{_CONTROLLER}, plane="physics"}}': "0x60"},
        worse=({f'pairsim_unaccounted_entities{{{_CONTROLLER}, plane="physics"}}': "-2x60"},),
        better=({f'pairsim_unaccounted_entities{{{_CONTROLLER}, plane="physics"}}': "0x37 1x4 0x60"},),
    ),
    "PairsimControllerBehind": Alarm(
        {f'pairsim_controller_queue_areas{{{_CONTROLLER}, queue="looks"}}': "90x60"},
        {f'pairsim_controller_queue_areas{{{_CONTROLLER}, queue="looks"}}': "90x5 0x60"},
    ),
}
