"""The dashboard of a chaos run: takeovers and alerts, and the effects that users saw."""

from __future__ import annotations

from grafana.dashboards.blocks import (
    AREA,
    BAD,
    FAIR,
    FIRING,
    HERE,
    ROLES,
    Query,
    annotation,
    board,
    graph,
    number,
    quantile,
    roles,
    states,
    written,
)

_TAKEOVER, _SWITCHOVER = "Takeovers", "Wanted changes"
_WORLD = 'namespace=~"$namespace"'
_HERE = f'{_WORLD}, area=~"$area"'
_COMMANDS = "area_result:pairsim_commands:rate1m"
TEXTS = {
    _TAKEOVER: ("{{pod}} took {{area}} over", "area,pod"),
    _SWITCHOVER: ("{{pod}} was handed {{area}}", "area,pod"),
}


def _grown(name: str) -> str:
    return f"sum(increase({name}{{{AREA}}}[$__range]))"


def build() -> str:
    """Returns the JSON file."""
    made = board("pairsim-chaos", "pairsim / Chaos run", "Takeovers and their cost.", area=True)
    for name, metric, color in (
        (_TAKEOVER, "pairsim_takeover_seconds_count", BAD),
        (_SWITCHOVER, "pairsim_switchovers_total", FAIR),
    ):
        made.annotation(annotation(name, f"sum by (area, pod) (increase({metric}{{{AREA}}}[1m])) > 0", color))
    mean = f"{_grown('pairsim_takeover_seconds_sum')} / ({_grown('pairsim_takeover_seconds_count')} > 0)"
    active = f'pairsim_role{{{HERE}, role="active"}} == 1'
    terms = f'count_values by (area) ("term", pairsim_term{{{AREA}}} and on (namespace, pod) ({active}))'
    refused = f'sum({_COMMANDS}{{{_HERE}, result="refused"}}) / (sum({_COMMANDS}{{{_HERE}}}) > 0) or vector(0)'
    for title, unit, description, expression in (
        ("Taken over", "none", "Takeovers from a lost active.", f"round({_grown('pairsim_takeover_seconds_count')})"),
        ("Stood still", "s", "Average time that a takeover stopped an area.", mean),
        ("Replayed", "none", "Ticks that takeovers ran again.", f"round({_grown('pairsim_replayed_ticks_total')})"),
        ("Diverged", "none", "Digests that differed: always 0.", _grown("pairsim_divergences_total")),
        ("Actives", "none", "Largest number of actives of an area in one term: never more than 1.", f"max({terms})"),
        ("Refused", "percentunit", "Share of all commands that is refused now.", refused),
    ):
        made.with_panel(number(title, unit, description, Query(expression, title)))
    firing = f'max by (alertname, area) (ALERTS{{alertname=~"Pairsim.+", {_WORLD}, alertstate="firing"}})'
    made.with_panel(states("Roles", "The role of each process.", ROLES, Query(roles(AREA), "{{area}} {{pod}}")))
    made.with_panel(states("Alerts", "Alerts that fire.", FIRING, Query(firing, "{{alertname}} {{area}}")))
    for panel in (
        graph("Ticks", "hertz", "Ticks per second.", Query(f"area:pairsim_ticks:rate1m{{{_HERE}}}", "{{area}}")),
        graph("Commands", "cps", "Commands per second by result.",
              Query(f"sum by (area, result) ({_COMMANDS}{{{_HERE}}})", "{{area}} {{result}}")),
        graph("Answer, 99 %", "s", "Time from a batch's arrival to its answer.",
              Query(quantile(0.99, "pairsim_answer_seconds", AREA, "area"), "{{area}}")),
        graph("Members that vote", "none", "Linked members with a vote; two of three are needed.",
              Query(f"max by (area, pod) (pairsim_quorum_members{{{AREA}}})", "{{area}} {{pod}}")),
        graph("Replicas in sync", "none", "Replicas in sync; two make a pair.",
              Query(f"area:pairsim_in_sync:sum{{{_HERE}}}", "{{area}}")),
        graph("Commit, 99 %", "s", "Time from a record in the active's log to its commit.",
              Query(quantile(0.99, "pairsim_commit_seconds", AREA, "area"), "{{area}}")),
        graph("Lag of the passive", "none", "Ticks that the passive's state is behind.",
              Query(f"max by (area) (pairsim_sync_lag_ticks{{{AREA}}})", "{{area}}")),
        graph("Batches that waited", "cps", "Batches per second that waited for an active.",
              Query(f"sum by (area) (rate(pairsim_held_batches_total{{{AREA}}}[$__rate_interval]))", "{{area}}")),
        graph("Processes that answer", "none", "Processes that answer Prometheus, by kind.",
              Query(f"sum by (container) (up{{{HERE}}})", "{{container}}")),
    ):  # fmt: skip
        made.with_panel(panel)
    return written(made, TEXTS)
