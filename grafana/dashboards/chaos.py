"""A chaos run: what was done to the world, beside what its users saw of it."""

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
    """The JSON file."""
    made = board("pairsim-chaos", "pairsim / Chaos run", "Takeovers, and what they cost.", area=True)
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
        ("Taken over", "none", "Areas from a lost active.", f"round({_grown('pairsim_takeover_seconds_count')})"),
        ("Stood still", "s", "An area, on average in a takeover.", mean),
        ("Replayed", "none", "Ticks that were run again.", f"round({_grown('pairsim_replayed_ticks_total')})"),
        ("Diverged", "none", "Digests that were not equal: always 0.", _grown("pairsim_divergences_total")),
        ("Actives", "none", "Most of an area in one term: never more than 1.", f"max({terms})"),
        ("Refused", "percentunit", "Of all commands, now.", refused),
    ):
        made.with_panel(number(title, unit, description, Query(expression, title)))
    firing = f'max by (alertname, area) (ALERTS{{alertname=~"Pairsim.+", {_WORLD}, alertstate="firing"}})'
    made.with_panel(states("Roles", "Which process is what.", ROLES, Query(roles(AREA), "{{area}} {{pod}}")))
    made.with_panel(states("Alerts", "Which fire.", FIRING, Query(firing, "{{alertname}} {{area}}")))
    for panel in (
        graph("Ticks", "hertz", "A second.", Query(f"area:pairsim_ticks:rate1m{{{_HERE}}}", "{{area}}")),
        graph("Commands", "cps", "By result.",
              Query(f"sum by (area, result) ({_COMMANDS}{{{_HERE}}})", "{{area}} {{result}}")),
        graph("Answer, 99 %", "s", "From a batch's arrival to its answer.",
              Query(quantile(0.99, "pairsim_answer_seconds", AREA, "area"), "{{area}}")),
        graph("Members that vote", "none", "And are linked; two of three are needed.",
              Query(f"max by (area, pod) (pairsim_quorum_members{{{AREA}}})", "{{area}} {{pod}}")),
        graph("Replicas in sync", "none", "Two make a pair.",
              Query(f"area:pairsim_in_sync:sum{{{_HERE}}}", "{{area}}")),
        graph("Commit, 99 %", "s", "From a record in the active's log to its commit.",
              Query(quantile(0.99, "pairsim_commit_seconds", AREA, "area"), "{{area}}")),
        graph("Lag of the passive", "none", "Ticks that its state is behind.",
              Query(f"max by (area) (pairsim_sync_lag_ticks{{{AREA}}})", "{{area}}")),
        graph("Batches that waited", "cps", "For an active.",
              Query(f"sum by (area) (rate(pairsim_held_batches_total{{{AREA}}}[$__rate_interval]))", "{{area}}")),
        graph("Processes that answer", "none", "By kind.",
              Query(f"sum by (container) (up{{{HERE}}})", "{{container}}")),
    ):  # fmt: skip
        made.with_panel(panel)
    return written(made, TEXTS)
