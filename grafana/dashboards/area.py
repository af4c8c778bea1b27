"""One area: its pair, its ticks, its commands, its stream."""

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
    """The JSON file."""
    made = board("pairsim-area", "pairsim / Area", "One area, or some beside each other.", area=True)
    made.with_panel(states("Roles", "Which process is what.", ROLES, Query(roles(AREA), _PODS)))
    wanted = Query(f"max by (area) (pairsim_tick_rate_hertz{{{AREA}}})", "{{area}} wanted")
    for panel in (
        graph("Ticks", "hertz", "A second, and how many there should be.",
              Query('area:pairsim_ticks:rate1m{namespace=~"$namespace", area=~"$area"}', "{{area}}"), wanted),
        graph("Tick duration", "s", "What a tick takes, and how long there is.", *_levels("pairsim_tick_seconds"),
              Query(f"1 / max by (area) (pairsim_tick_rate_hertz{{{AREA}}})", "{{area}} there is")),
        graph("Ticks that came late", "none", "The active fell behind its beat and let time go.",
              Query(f"sum by (area) (rate(pairsim_tick_overruns_total{{{AREA}}}{_RATE}))", "{{area}}")),
        graph("Commit", "s", "From a record in the active's log to its commit.", *_levels("pairsim_commit_seconds")),
        graph("Answer", "s", "From a batch's arrival to its answer.", *_levels("pairsim_answer_seconds")),
        graph("Members that vote", "none", "And are linked; two of three are needed.",
              Query(f"max by (area, pod) (pairsim_quorum_members{{{AREA}}})", _PODS)),
        graph("Commands", "cps", "Answered by the active, by result.",
              Query('sum by (area, result) (area_result:pairsim_commands:rate1m{namespace=~"$namespace", '
                    'area=~"$area"})', "{{area}} {{result}}")),
        graph("Inbox", "none", "Commands that wait for a tick, and batches that were refused for it a second.",
              Query(f"max by (area) (pairsim_inbox_commands{{{AREA}}})", "{{area}} wait"),
              Query(f"sum by (area) (rate(pairsim_inbox_refusals_total{{{AREA}}}{_RATE}))", "{{area}} refused")),
        graph("By the way of the passive", "cps", "Commands that it relayed, and batches that waited for an active.",
              Query(f"sum by (area) (rate(pairsim_relayed_commands_total{{{AREA}}}{_RATE}))", "{{area}} relayed"),
              Query(f"sum by (area) (rate(pairsim_held_batches_total{{{AREA}}}{_RATE}))", "{{area}} held")),
        graph("Lag of the passive", "none", "Ticks that its state is behind: as the active sees it, and as it does.",
              Query(f"max by (area) (pairsim_sync_lag_ticks{{{AREA}}})", "{{area}}"),
              Query(f'max by (area, pod) (pairsim_tick{{{AREA}, container="simulator"}} '
                    f"- on (namespace, area, pod) pairsim_synced_tick{{{AREA}}})", "{{area}} {{pod}} itself")),
        graph("State stream", "Bps", "Packed bytes.",
              Query(f"sum by (area, pod) (rate(pairsim_sync_bytes_total{{{AREA}}}{_RATE}))", _PODS)),
        graph("Frames", "cps", "Of the state stream, and ticks without one because a subscriber was behind.",
              Query(f"sum by (area) (rate(pairsim_sync_frames_total{{{AREA}}}{_RATE}))", "{{area}} sent"),
              Query(f"sum by (area) (rate(pairsim_sync_skipped_total{{{AREA}}}{_RATE}))", "{{area}} skipped")),
        graph("Term and generation", "none", "The term grows with every active, the generation with every new member.",
              Query(f"max by (area) (pairsim_term{{{AREA}}})", "{{area}} term"),
              Query(f"max by (area) (pairsim_generation{{{AREA}}})", "{{area}} generation")),
        graph("Changes of the active", "none", "In all, by why: the one before was lost, or handed over.",
              Query(f"sum by (area) (pairsim_takeover_seconds_count{{{AREA}}})", "{{area}} takeovers"),
              Query(f"sum by (area) (pairsim_switchovers_total{{{AREA}}})", "{{area}} wanted")),
        graph("Replayed and diverged", "none", "Ticks that were run again in takeovers; digests that were not equal.",
              Query(f"sum by (area) (pairsim_replayed_ticks_total{{{AREA}}})", "{{area}} replayed"),
              Query(f"sum by (area) (pairsim_divergences_total{{{AREA}}})", "{{area}} diverged")),
        graph("Entities", "short", "In the state of every replica.",
              Query(f"max by (area, pod) (pairsim_entities{{{AREA}}})", _PODS), span=12),
        graph("WebSockets", "none", "Open ones: observers, sessions, watchers.",
              *(Query(f"sum by (area, pod) (pairsim_{kind}{{{AREA}}})", f"{_PODS} {kind}")
                for kind in ("observers", "sessions", "watchers")), span=12),
        graph("CPU", "percentunit", "Of one core.",
              Query(f"sum by (area, pod) (rate(process_cpu_seconds_total{{{AREA}}}{_RATE}))", _PODS), span=12),
        graph("Memory", "bytes", "Resident.",
              Query(f"sum by (area, pod) (process_resident_memory_bytes{{{AREA}}})", _PODS), span=12),
    ):  # fmt: skip
        made.with_panel(panel)
    return written(made)
