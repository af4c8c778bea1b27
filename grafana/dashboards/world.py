"""The world at a glance: is everything a pair, does everything tick, and what was changed."""

from __future__ import annotations

from grafana.dashboards.blocks import AREA, HERE, IN_SYNC, Query, board, graph, number, quantile, states, written

_AREAS = "{{area}}"


def build() -> str:
    """The JSON file."""
    made = board("pairsim-world", "pairsim / World", "All areas of a world.", area=True)
    for state, description in (
        ("redundant", "Areas that go on after the loss of any one of their members."),
        ("degraded", "Areas that have an active and lack redundancy."),
        ("down", "Areas without an active."),
    ):
        query = Query(f'max(pairsim_areas{{{HERE}, state="{state}"}})', state)
        made.with_panel(number(f"Areas {state}", "none", description, query, span=3))
    for title, unit, description, expression in (
        ("Spares", "none", "Simulators without an area.", f"max(pairsim_spares{{{HERE}}})"),
        ("All entities", "short", "In all areas.", f"sum(max by (area) (pairsim_entities{{{AREA}}}))"),
        ("Commands now", "cps", "Applied a second.",
         'sum(area_result:pairsim_commands:rate1m{namespace=~"$namespace", result="applied"})'),
        ("Takeovers", "none", "In 5 minutes, without those that were wanted.",
         'round(sum(area:pairsim_takeovers:increase5m{namespace=~"$namespace"}))'),
        ("Alerts", "none", "That fire.",
         'count(ALERTS{alertname=~"Pairsim.+", namespace=~"$namespace", alertstate="firing"}) or vector(0)'),
    ):  # fmt: skip
        made.with_panel(number(title, unit, description, Query(expression, title), span=3))
    in_sync = Query('clamp_max(area:pairsim_in_sync:sum{namespace=~"$namespace", area=~"$area"}, 2)', _AREAS)
    made.with_panel(states("Redundancy", "Replicas of an area that could go on.", IN_SYNC, in_sync))
    commands = 'sum by (result) (area_result:pairsim_commands:rate1m{namespace=~"$namespace", area=~"$area"})'
    for panel in (
        graph("Ticks", "hertz", "A second, of every area.",
              Query('area:pairsim_ticks:rate1m{namespace=~"$namespace", area=~"$area"}', _AREAS)),
        graph("Tick duration, 99 %", "s", "What 99 of 100 ticks take at most.",
              Query(quantile(0.99, "pairsim_tick_seconds", AREA, "area"), _AREAS)),
        graph("Commit, 99 %", "s", "From a record in the active's log to its commit.",
              Query(quantile(0.99, "pairsim_commit_seconds", AREA, "area"), _AREAS)),
        graph("Commands", "cps", "Answered by actives, by result.", Query(commands, "{{result}}")),
        graph("Lag of the passive", "none", "Ticks that its state is behind the last commit.",
              Query(f"max by (area) (pairsim_sync_lag_ticks{{{AREA}}})", _AREAS)),
        graph("State stream", "Bps", "Packed bytes from the active to the passive.",
              Query(f"sum by (area) (rate(pairsim_sync_bytes_total{{{AREA}}}[$__rate_interval]))", _AREAS)),
        graph("Entities", "short", "By area.", Query(f"max by (area) (pairsim_entities{{{AREA}}})", _AREAS)),
        graph("CPU", "percentunit", "Of one core, by process; spares too.",
              Query(f"sum by (pod) (rate(process_cpu_seconds_total{{{HERE}}}[$__rate_interval]))", "{{pod}}")),
        graph("Memory", "bytes", "Resident, by process; spares too.",
              Query(f"sum by (pod) (process_resident_memory_bytes{{{HERE}}})", "{{pod}}")),
    ):  # fmt: skip
        made.with_panel(panel)
    return written(made)
