"""The dashboard of borders: what crosses them, what waits, and whether every entity is accounted for."""

from __future__ import annotations

from grafana.dashboards.blocks import AREA, HERE, YES, Query, board, graph, number, quantile, states, written

_RATE = "[$__rate_interval]"
_TO = "{{area}} to {{neighbour}}"


def _crossings(direction: str) -> str:
    return f'sum by (area, neighbour) (rate(pairsim_crossings_total{{{AREA}, direction="{direction}"}}{_RATE}))'


def build() -> str:
    """Returns the JSON file."""
    made = board("pairsim-borders", "pairsim / Borders", "What crosses the borders of areas.", area=True)
    for panel in (
        number("Crossings", "cps", "Entities per second that went over borders.",
               Query(f'sum(rate(pairsim_crossings_total{{{AREA}, direction="out"}}{_RATE}))', ""), span=6),
        number("On their way", "none", "Entities on their way between areas, over the whole world.",
               Query(f"sum(pairsim_travelling_entities{{{HERE}}})", ""), span=6),
        number("Unaccounted", "none", "Entities that are missing; a negative number if there are too many.",
               Query(f"sum(pairsim_unaccounted_entities{{{HERE}}})", ""), span=6),
        number("Nowhere", "none", "Entities at a position in no area.",
               Query(f"sum(pairsim_nowhere_entities{{{AREA}}})", ""), span=6),
    ):  # fmt: skip
        made.with_panel(panel)
    for lines in (
        graph("Crossings by border", "cps", "Entities per second that went to each neighbour.",
              Query(_crossings("out"), _TO), span=12),
        graph("Handover", "s", "Time from the commit of a departure to the acknowledgement of the arrival.",
              Query(quantile(0.5, "pairsim_handover_seconds", AREA, "area"), "{{area}} 50 %"),
              Query(quantile(0.99, "pairsim_handover_seconds", AREA, "area"), "{{area}} 99 %"), span=12),
        graph("Outboxes", "none", "Entities that wait for the acknowledgement of each neighbour.",
              Query(f"max by (area, neighbour) (pairsim_outbox_entities{{{AREA}}})", _TO), span=12),
        graph("Age of outboxes", "s", "For how long the oldest message has waited.",
              Query(f"max by (area, neighbour) (pairsim_outbox_age_seconds{{{AREA}}})", _TO), span=12),
        graph("Before the outboxes", "none", "Entities that should cross and wait in the area because of a limit.",
              Query(f"max by (area) (pairsim_queued_entities{{{AREA}}})", "{{area}}")),
        graph("Births and deaths", "cps", "Entities per second that were spawned, and that were removed.",
              Query(f"sum by (area) (rate(pairsim_born_entities_total{{{AREA}}}{_RATE}))", "{{area}} born"),
              Query(f"sum by (area) (rate(pairsim_died_entities_total{{{AREA}}}{_RATE}))", "{{area}} died")),
        graph("Refused and nowhere", "none", "Entities whose ids were taken, and those at a position in no area.",
              Query(f"sum by (area) (increase(pairsim_conflicts_total{{{AREA}}}[5m]))", "{{area}} refused"),
              Query(f"max by (area) (pairsim_nowhere_entities{{{AREA}}})", "{{area}} nowhere")),
    ):  # fmt: skip
        made.with_panel(lines)
    connected = f"max by (area, neighbour) (pairsim_link_connected{{{AREA}}})"
    made.with_panel(states("Links", "Whether there is a connection to each neighbour.", YES, Query(connected, _TO)))
    return written(made)
