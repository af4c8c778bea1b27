"""The dashboard of a whole world: redundancy, ticks, commands and resources."""

from __future__ import annotations

from grafana.dashboards.blocks import AREA, HERE, IN_SYNC, Query, board, graph, number, quantile, states, written

_AREAS = "{{area}}"


def build() -> str:
    """Returns the JSON file."""
    made = board("pairsim-world", "pairsim / World", "All areas of a world.", area=True)
    for state, description in (
        ("redundant", "Areas that survive the loss of any one of their members."),
        ("degraded", "Areas that have an active and lack redundancy."),
        ("down", "Areas without an active."),
    ):
        query = Query(f'max(pairsim_areas{{{HERE}, state="{state}"}})', state)
        made.with_panel(number(f"Areas {state}", "none", description, query, span=3))
    for title, unit, description, expression in (
        ("Spares", "none", "Simulators without an area.", f"max(pairsim_spares{{{HERE}}})"),
        ("All entities", "short", "Entities in all areas.", f"sum(max by (area) (pairsim_entities{{{AREA}}}))"),
        ("Commands now", "cps", "Commands applied per second.",
         'sum(area_result:pairsim_commands:rate1m{namespace=~"$namespace", result="applied"})'),
        ("Takeovers", "none", "Takeovers in the last 5 minutes, without switchovers.",
         'round(sum(area:pairsim_takeovers:increase5m{namespace=~"$namespace"}))'),
        ("Alerts", "none", "Alerts that fire.",
         'count(ALERTS{alertname=~"Pairsim.+", namespace=~"$namespace", alertstate="firing"}) or vector(0)'),
    ):  # fmt: skip
        made.with_panel(number(title, unit, description, Query(expression, title), span=3))
    in_sync = Query('clamp_max(area:pairsim_in_sync:sum{namespace=~"$namespace", area=~"$area"}, 2)', _AREAS)
    made.with_panel(states("Redundancy", "Replicas of each area that could continue it.", IN_SYNC, in_sync))
    commands = 'sum by (result) (area_result:pairsim_commands:rate1m{namespace=~"$namespace", area=~"$area"})'
    for panel in (
        graph("Ticks", "hertz", "Ticks per second of each area.",
              Query('area:pairsim_ticks:rate1m{namespace=~"$namespace", area=~"$area"}', _AREAS)),
        graph("Tick duration, 99 %", "s", "The time that 99 of 100 ticks do not exceed.",
              Query(quantile(0.99, "pairsim_tick_seconds", AREA, "area"), _AREAS)),
        graph("Commit, 99 %", "s", "Time from a record in the active's log to its commit.",
              Query(quantile(0.99, "pairsim_commit_seconds", AREA, "area"), _AREAS)),
        graph("Commands", "cps", "Commands per second that actives answered, by result.",
              Query(commands, "{{result}}")),
        graph("Lag of the passive", "none", "Ticks that its state is behind the last commit.",
              Query(f"max by (area) (pairsim_sync_lag_ticks{{{AREA}}})", _AREAS)),
        graph("State stream", "Bps", "Packed bytes per second from the active to the passive.",
              Query(f"sum by (area) (rate(pairsim_sync_bytes_total{{{AREA}}}[$__rate_interval]))", _AREAS)),
        graph("Entities", "short", "Entities by area.", Query(f"max by (area) (pairsim_entities{{{AREA}}})", _AREAS)),
        graph("CPU", "percentunit", "CPU time by process, spares included, as a share of one core.",
              Query(f"sum by (pod) (rate(process_cpu_seconds_total{{{HERE}}}[$__rate_interval]))", "{{pod}}")),
        graph("Memory", "bytes", "Resident memory by process, spares included.",
              Query(f"sum by (pod) (process_resident_memory_bytes{{{HERE}}})", "{{pod}}")),
    ):  # fmt: skip
        made.with_panel(panel)
    return written(made)
