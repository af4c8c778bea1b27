"""A real Prometheus reports what happens to a real world."""

from __future__ import annotations

from tests.process.monitoring.prometheus import Prometheus
from tests.process.world.running_worlds import RunningWorld, until

TAKEN_OVER = "PairsimAreaTakenOver"


def redundant(prometheus: Prometheus) -> bool:
    return prometheus.value('pairsim_areas{namespace="local", state="redundant"}') == 2


def test_prometheus_and_the_world_agree(world: RunningWorld, prometheus: Prometheus) -> None:
    until(lambda: redundant(prometheus), "both areas are redundant", world.status)
    for area in [area.area for area in world.status().areas]:
        until(lambda name=area: scraped(prometheus, name) == shown(world, name), f"{area} has the roles that it shows")
    assert prometheus.value('sum(pairsim_role{role="spare"})') == 1
    until(
        lambda: prometheus.value("min(area:pairsim_ticks:rate1m and on (area) (area:pairsim_actives:count == 1))"),
        "the areas tick",
    )
    assert not {name for name, _area in prometheus.firing()} & {TAKEN_OVER, "PairsimAreaDown", "PairsimTwoActives"}


def test_commands_are_counted_where_they_are_applied(world: RunningWorld, prometheus: Prometheus) -> None:
    for entity in (9001, 9002):
        world.run("send", "west", "spawn", str(entity), "position=50,50,25")
    applied = (
        'sum(pairsim_commands_total{area="west", result="applied"} and on (pod) (pairsim_role{role="active"} == 1))'
    )
    until(
        lambda: prometheus.value(applied) == 2, "both are counted", lambda: prometheus.query("pairsim_commands_total")
    )
    until(lambda: prometheus.value('max(pairsim_entities{area="west"})') == 2002, "both are there")


def test_a_switchover_is_counted_and_raises_no_alert(world: RunningWorld, prometheus: Prometheus) -> None:
    until(lambda: redundant(prometheus), "both areas are redundant", world.status)
    world.run("switchover", "east")
    until(
        lambda: (
            prometheus.value('sum(pairsim_switchovers_total{area="east"})') == 1
            and prometheus.value('sum(pairsim_takeover_seconds_count{area="east"})') == 0
        ),
        "the switchover is counted, and not as a takeover",
        lambda: prometheus.query('{__name__=~"pairsim_(switchovers_total|takeover_seconds_count)", area="east"}'),
    )
    now = prometheus.value("vector(time())")
    assert now is not None
    until(lambda: (prometheus.value("vector(time())") or 0) > now + 5, "the rules have been evaluated several times")
    fired = f'max_over_time(ALERTS{{alertname="{TAKEN_OVER}", area="east", alertstate="firing"}}[1m])'
    assert prometheus.query(fired) == []


def test_a_killed_active_raises_its_alert_which_ends_later(world: RunningWorld, prometheus: Prometheus) -> None:
    until(lambda: redundant(prometheus), "both areas are redundant", world.status)
    assert (TAKEN_OVER, "west") not in prometheus.firing()
    world.run("kill", "west")
    until(lambda: (TAKEN_OVER, "west") in prometheus.firing(), "the alert fires", prometheus.firing)
    alert = prometheus.firing()[TAKEN_OVER, "west"]
    assert alert["labels"]["severity"] == "warning"
    assert alert["annotations"]["summary"] == "The active of west was lost and its passive took over"
    assert prometheus.value('sum(pairsim_takeover_seconds_count{area="west"})') == 1
    stood = prometheus.value('sum(pairsim_takeover_seconds_sum{area="west"})')
    assert stood is not None
    assert 0 < stood < 5
    until(
        lambda: prometheus.value("sum(pairsim_process_restarts_total)") == 1 and redundant(prometheus),
        "the lost process is back and the area is redundant",
        lambda: prometheus.query("pairsim_areas"),
    )
    until(lambda: (TAKEN_OVER, "west") not in prometheus.firing(), "the alert ends", prometheus.firing, seconds=60)
    critical = {s["metric"]["alertname"] for s in prometheus.query('max_over_time(ALERTS{severity="critical"}[5m])')}
    assert critical <= {"PairsimAreaDown"}, "no other alert may become pending"
    assert not prometheus.query('max_over_time(ALERTS{severity="critical", alertstate="firing"}[5m])')


def scraped(prometheus: Prometheus, area: str) -> set[tuple[str, str]]:
    series = prometheus.query(f'pairsim_role{{area="{area}"}} == 1')
    return {(s["metric"]["pod"], s["metric"]["role"]) for s in series}


def shown(world: RunningWorld, area: str) -> set[tuple[str, str]]:
    return {(r.replica, r.role) for a in world.status().areas if a.area == area for r in a.replicas}
