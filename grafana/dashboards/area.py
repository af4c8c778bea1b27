"""The dashboard of one area: its pair, ticks, commands and state stream."""

from __future__ import annotations

from grafana.dashboards.blocks import AREA, ROLES, Query, board, graph, quantile, roles, states, written

_PODS = "{{area}} {{pod}}"
_RATE = "[$__rate_interval]"


def _levels(name: str) -> tuple[Query, Query]:
    return (
        Query(quantile(0.5, name, AREA, "area"), "{{area}} 50 %"),
        Query(quantile(0.99, name, AREA, "area"), "{{area}} 99 %"),
    )


def build() -> str:
    """Returns the JSON file."""
    made = board("pairsim-area", "pairsim / Area", "One area, or several areas side by side.", area=True)
    made.with_panel(states("Roles", "The role of each process.", ROLES, Query(roles(AREA), _PODS)))
    wanted = Query(f"max by (area) (pairsim_tick_rate_hertz{{{AREA}}})", "{{area}} wanted")
    for panel in (
        graph("Ticks", "hertz", "Ticks per second, and the tick rate of the plane.",
              Query('area:pairsim_ticks:rate1m{namespace=~"$namespace", area=~"$area"}', "{{area}}"), wanted),
        graph("Tick duration", "s", "Time that a tick takes, and the time between two ticks.",
              *_levels("pairsim_tick_seconds"),
              Query(f"1 / max by (area) (pairsim_tick_rate_hertz{{{AREA}}})", "{{area}} limit")),
        graph("Ticks that came late", "none", "Times per second that the active was late and dropped the lost time.",
              Query(f"sum by (area) (rate(pairsim_tick_overruns_total{{{AREA}}}{_RATE}))", "{{area}}")),
        graph("Commit", "s", "Time from a record in the active's log to its commit.",
              *_levels("pairsim_commit_seconds")),
        graph("Answer", "s", "Time from a batch's arrival to its answer.", *_levels("pairsim_answer_seconds")),
        graph("Members that vote", "none", "Linked members with a vote; two of three are needed.",
              Query(f"max by (area, pod) (pairsim_quorum_members{{{AREA}}})", _PODS)),
        graph("Commands", "cps", "Commands per second that the active answered, by result.",
              Query('sum by (area, result) (area_result:pairsim_commands:rate1m{namespace=~"$namespace", '
                    'area=~"$area"})', "{{area}} {{result}}")),
        graph("Inbox", "none", "Commands that wait for a tick, and batches per second that a full inbox refused.",
              Query(f"max by (area) (pairsim_inbox_commands{{{AREA}}})", "{{area}} wait"),
              Query(f"sum by (area) (rate(pairsim_inbox_refusals_total{{{AREA}}}{_RATE}))", "{{area}} refused")),
        graph("By the way of the passive", "cps",
              "Commands per second that it relayed, and batches that waited for an active.",
              Query(f"sum by (area) (rate(pairsim_relayed_commands_total{{{AREA}}}{_RATE}))", "{{area}} relayed"),
              Query(f"sum by (area) (rate(pairsim_held_batches_total{{{AREA}}}{_RATE}))", "{{area}} held")),
        graph("Lag of the passive", "none",
              "Ticks that its state is behind, as the active and as the passive itself report.",
              Query(f"max by (area) (pairsim_sync_lag_ticks{{{AREA}}})", "{{area}}"),
              Query(f'max by (area, pod) (pairsim_tick{{{AREA}, container="simulator"}} '
                    f"- on (namespace, area, pod) pairsim_synced_tick{{{AREA}}})", "{{area}} {{pod}} itself")),
        graph("State stream", "Bps", "Packed bytes per second.",
              Query(f"sum by (area, pod) (rate(pairsim_sync_bytes_total{{{AREA}}}{_RATE}))", _PODS)),
        graph("Frames", "cps", "Frames of the state stream, and ticks without a frame because a subscriber was behind.",
              Query(f"sum by (area) (rate(pairsim_sync_frames_total{{{AREA}}}{_RATE}))", "{{area}} sent"),
              Query(f"sum by (area) (rate(pairsim_sync_skipped_total{{{AREA}}}{_RATE}))", "{{area}} skipped")),
        graph("Term and generation", "none", "The term grows with every active, the generation with every new member.",
              Query(f"max by (area) (pairsim_term{{{AREA}}})", "{{area}} term"),
              Query(f"max by (area) (pairsim_generation{{{AREA}}})", "{{area}} generation")),
        graph("Changes of the active", "none", "Total by reason: the previous active was lost, or it handed over.",
              Query(f"sum by (area) (pairsim_takeover_seconds_count{{{AREA}}})", "{{area}} takeovers"),
              Query(f"sum by (area) (pairsim_switchovers_total{{{AREA}}})", "{{area}} wanted")),
        graph("Replayed and diverged", "none", "Ticks that takeovers ran again, and digests that differed.",
              Query(f"sum by (area) (pairsim_replayed_ticks_total{{{AREA}}})", "{{area}} replayed"),
              Query(f"sum by (area) (pairsim_divergences_total{{{AREA}}})", "{{area}} diverged")),
        graph("Entities", "short", "Entities in the state of each replica, and those of them outside of the area.",
              Query(f"max by (area, pod) (pairsim_entities{{{AREA}}})", _PODS),
              Query(f"max by (area, pod) (pairsim_outside_entities{{{AREA}}})", f"{_PODS} outside"), span=12),
        graph("WebSockets", "none", "Open WebSockets: observers, sessions and watchers.",
              *(Query(f"sum by (area, pod) (pairsim_{kind}{{{AREA}}})", f"{_PODS} {kind}")
                for kind in ("observers", "sessions", "watchers")), span=12),
        graph("CPU", "percentunit", "CPU time as a share of one core.",
              Query(f"sum by (area, pod) (rate(process_cpu_seconds_total{{{AREA}}}{_RATE}))", _PODS), span=12),
        graph("Memory", "bytes", "Resident memory.",
              Query(f"sum by (area, pod) (process_resident_memory_bytes{{{AREA}}})", _PODS), span=12),
    ):  # fmt: skip
        made.with_panel(panel)
    return written(made)
