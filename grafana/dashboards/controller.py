"""The dashboard of the controller: its leader, its work queues, and the API server's answers."""

from __future__ import annotations

from grafana.dashboards.blocks import HERE, YES, Query, board, graph, number, quantile, states, written

_RATE = "[$__rate_interval]"


def _rate(name: str, by: str, legend: str) -> Query:
    return Query(f"sum by ({by}) (rate({name}{{{HERE}}}{_RATE}))", legend)


def build() -> str:
    """Returns the JSON file."""
    made = board("pairsim-controller", "pairsim / Controller", "It keeps every area a pair.", area=False)
    for title, description, expression in (
        ("Redundant", "Areas that survive any single loss.", f'max(pairsim_areas{{{HERE}, state="redundant"}})'),
        ("Degraded", "Areas that lack redundancy.", f'max(pairsim_areas{{{HERE}, state="degraded"}})'),
        ("Down", "Areas without an active.", f'max(pairsim_areas{{{HERE}, state="down"}})'),
        ("Spares", "Simulators without an area.", f"max(pairsim_spares{{{HERE}}})"),
        ("Waiting", "Areas in all work queues.", f"sum(pairsim_controller_queue_areas{{{HERE}}})"),
        (
            "Ticks undone",
            "Ticks lost by changes of the active: always 0.",
            f"sum(pairsim_controller_undone_ticks_total{{{HERE}}})",
        ),
    ):
        made.with_panel(number(title, "none", description, Query(expression, title)))
    leading = Query(f"max by (pod) (pairsim_controller_leading{{{HERE}}})", "{{pod}}")
    made.with_panel(states("Who works", "The controller that holds the lease.", YES, leading))
    for panel in (
        graph("Areas", "none", "Areas by state.",
              Query(f"max by (state) (pairsim_areas{{{HERE}}})", "{{state}}")),
        graph("Changes of an active", "none", "Total changes by reason.",
              Query(f"sum by (reason) (pairsim_controller_changes_total{{{HERE}}})", "{{reason}}")),
        graph("Label, 99 %", "s", "Time from a replica's report that it is active to its label.",
              Query(quantile(0.99, "pairsim_controller_label_seconds", HERE, "namespace"), "99 %"),
              Query(quantile(0.5, "pairsim_controller_label_seconds", HERE, "namespace"), "50 %")),
        graph("Work queues", "none", "Areas that wait, by queue.",
              Query(f"max by (queue) (pairsim_controller_queue_areas{{{HERE}}})", "{{queue}}")),
        graph("Work", "cps", "Work on single areas per second, and failed work that is tried again.",
              _rate("pairsim_controller_work_seconds_count", "queue", "{{queue}}"),
              _rate("pairsim_controller_retries_total", "queue", "{{queue}} again")),
        graph("Work, 99 %", "s", "Time that the work on one area takes.",
              Query(quantile(0.99, "pairsim_controller_work_seconds", HERE, "queue"), "{{queue}}")),
        graph("API requests", "reqps", "Requests per second by verb and status; 0 means no answer.",
              _rate("pairsim_controller_api_requests_total", "verb, status", "{{verb}} {{status}}")),
        graph("API latency, 99 %", "s", "Time to the API server's answer, by verb.",
              Query(quantile(0.99, "pairsim_controller_api_seconds", HERE, "verb"), "{{verb}}")),
        graph("Orders and labels", "cps", "Commands sent to processes by kind, and labels written by role.",
              _rate("pairsim_controller_orders_total", "order", "{{order}}"),
              _rate("pairsim_controller_labels_total", "role", "label {{role}}")),
        graph("CPU", "percentunit", "CPU time as a share of one core.",
              Query(f'sum by (pod) (rate(process_cpu_seconds_total{{{HERE}, container="controller"}}{_RATE}))',
                    "{{pod}}"), span=12),
        graph("Memory", "bytes", "Resident memory.",
              Query(f'sum by (pod) (process_resident_memory_bytes{{{HERE}, container="controller"}})', "{{pod}}"),
              span=12),
    ):  # fmt: skip
        made.with_panel(panel)
    return written(made)
