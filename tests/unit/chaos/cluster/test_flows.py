"""Workflows and schedules that Chaos Mesh carries out: green only if their faults were injected, and to their end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pairsim_chaos.cluster import chaos_object, injections
from pairsim_chaos.experiment.experiment import Experiment, load_experiments
from pairsim_chaos.target import Injection, WorldError
from pairsim_controller.kube.api.connection import ApiRefusedError, ApiUnreachableError
from tests.unit.chaos.cluster.fake import GROUP, FakeCluster, Item, experiment, injected

EXPERIMENTS = Path(__file__).parents[4] / "chaos" / "experiments"
KILL = "{action: pod-kill, mode: one, selector: {labelSelectors: {pairsim.io/role: active}}}"
TEMPLATES = f"""
    - {{name: all, templateType: Serial, deadline: 9m, children: [good, kill, cut]}}
    - name: good
      templateType: StatusCheck
      abortWithStatusCheck: true
      deadline: 9s
      statusCheck: {{type: HTTP, http: {{url: "http://verdict/verdict", criteria: {{statusCode: "200"}}}}}}
    - {{name: kill, templateType: PodChaos, deadline: 9s, podChaos: {KILL}}}
    - name: cut
      templateType: NetworkChaos
      deadline: 9s
      networkChaos:
        {{action: partition, mode: one, selector: {{labelSelectors: {{a: b}}}}, externalTargets: [10.0.0.1]}}
"""
WORKFLOW = experiment("Workflow", f"  entry: all\n  templates:{TEMPLATES}")
SCHEDULED = f"""
    - name: all
      templateType: Schedule
      deadline: 9m
      schedule: {{schedule: "@every 5s", type: PodChaos, podChaos: {KILL}}}
"""
WITH_SCHEDULE = experiment("Workflow", f"  entry: all\n  templates:{SCHEDULED}")
SCHEDULE = experiment("Schedule", f'  schedule: "* * * * *"\n  type: PodChaos\n  podChaos: {KILL}\n')
OF_WORKFLOWS = experiment(
    "Schedule", f'  schedule: "* * * * *"\n  type: Workflow\n  workflow:\n    entry: all\n    templates:{SCHEDULED}'
)
FAILED = {"experiment": {"containerRecords": [{"id": "pairsim/a", "events": [{"type": "Failed", "message": "netem"}]}]}}
NOBODY = {"conditions": [{"type": "Selected", "status": "False"}]}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    monkeypatch.setattr(chaos_object, "_LOOK", 0.001)
    monkeypatch.setattr(injections, "_FLOW_LOOK", 0.001)
    return FakeCluster()


def owned(by: Item) -> Item:
    return {"ownerReferences": [{"uid": by["metadata"]["uid"], "kind": "whatever"}]}


class Played:
    """Chaos Mesh, carrying out an experiment by hand."""

    def __init__(self, cluster: FakeCluster, made: Experiment) -> None:
        self.cluster = cluster
        self.root = cluster.objects[f"{GROUP}/{made.plural}/it"]

    def node(self, template: str, kind: str = "PodChaos", *, aborted: bool = False, under: Item | None = None) -> Item:
        conditions = [{"type": "Aborted", "status": str(aborted)}]
        spec = {"templateName": template, "type": kind, "workflowName": "it"}
        return self.cluster.put(
            "workflownodes",
            f"{template}-{len(self.cluster.objects)}",
            metadata=owned(under or self.root),
            spec=spec,
            status={"conditions": conditions},
        )

    def fault(self, under: Item, plural: str = "podchaos", name: str = "f", **status: object) -> Item:
        return self.cluster.put(plural, name, metadata=owned(under), status=status)

    def over(self) -> None:
        self.root["status"] = {"conditions": [{"type": "Accomplished", "status": "True"}]}


async def begun(cluster: FakeCluster, made: Experiment, longest: float = 3600.0) -> tuple[Injection, Played]:
    injection = await cluster.world(longest).inject(made, None)  # type: ignore[arg-type]  # nobody is asked in a cluster
    return injection, Played(cluster, made)


async def over(injection: Injection) -> None:
    async with asyncio.timeout(10):
        await injection.over()


async def looks(cluster: FakeCluster, count: int = 2) -> None:
    """Waits until all was looked at since now."""
    before = len(cluster.requests)
    async with asyncio.timeout(10):
        while len(cluster.requests) < before + count * 5:
            await asyncio.sleep(0.001)


async def test_a_workflow_whose_faults_were_all_injected_for_a_while_is_good(cluster: FakeCluster) -> None:
    injection, played = await begun(cluster, WORKFLOW)
    waiting = asyncio.create_task(over(injection))
    top = played.node("all", "Serial")
    played.node("good", "StatusCheck", under=top)
    for template, plural, pod in (("kill", "podchaos", "a"), ("cut", "networkchaos", "b")):
        fault = played.fault(played.node(template, under=top), plural, template, **injected(pod))
        await looks(cluster)
        del cluster.objects[f"{GROUP}/{plural}/{fault['metadata']['name']}"]  # at the end of its template
    played.over()
    await waiting
    assert injection.targets == ("a", "b")
    await injection.recover()
    assert f"{GROUP}/workflows/it" not in cluster.objects


async def test_a_fault_that_was_injected_once_is_not_forgotten_when_it_is_so_no_more(cluster: FakeCluster) -> None:
    injection, played = await begun(cluster, WORKFLOW)
    waiting = asyncio.create_task(over(injection))
    for template, plural, pod in (("kill", "podchaos", "a"), ("cut", "networkchaos", "b")):
        fault = played.fault(played.node(template), plural, template, **injected(pod))
        await looks(cluster)
        fault["status"] = NOBODY
    await looks(cluster)
    played.over()
    await waiting
    assert injection.targets == ("a", "b")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (FAILED, "cut: pairsim/a: netem"),
        (NOBODY, "cut: its selector means no pod"),
        ({}, "cut: it was not injected"),
        (None, "cut: it was not injected"),
    ],
)
async def test_one_whose_fault_was_not_injected_is_told(cluster: FakeCluster, status: Item | None, told: str) -> None:
    injection, played = await begun(cluster, WORKFLOW)
    played.fault(played.node("kill"), **injected("a"))
    cut = played.node("cut")
    if status is not None:
        played.fault(cut, "networkchaos", **status)
    played.over()
    with pytest.raises(WorldError, match=f"^{told}"):
        await over(injection)


async def test_one_that_did_not_come_to_a_fault_is_told(cluster: FakeCluster) -> None:
    injection, played = await begun(cluster, WORKFLOW)
    played.fault(played.node("kill"), **injected("a"))
    played.over()
    with pytest.raises(WorldError, match=r"^cut: the time was over before it was made$"):
        await over(injection)


async def test_a_template_that_runs_twice_has_to_be_made_twice(cluster: FakeCluster) -> None:
    injection, played = await begun(cluster, WORKFLOW)
    played.fault(played.node("kill"), **injected("a"))
    played.fault(played.node("cut"), "networkchaos", **injected("a"))
    played.node("kill")
    played.over()
    with pytest.raises(WorldError, match=r"^kill: it was not injected$"):
        await over(injection)


async def test_faults_of_others_are_no_evidence(cluster: FakeCluster) -> None:
    injection, played = await begun(cluster, WORKFLOW)
    other = cluster.put("workflows", "other")
    for template, plural in (("kill", "podchaos"), ("cut", "networkchaos")):
        played.fault(played.node(template, under=other), plural, **injected("a"))
    cluster.put("podchaos", "lonely", status=injected("z"))
    played.over()
    with pytest.raises(WorldError, match="kill: the time was over"):
        await over(injection)
    assert injection.targets == ()


async def test_one_whose_check_was_bad_is_ended_at_once(cluster: FakeCluster) -> None:
    injection, played = await begun(cluster, WORKFLOW)
    played.node("good", "StatusCheck", aborted=True)
    with pytest.raises(WorldError, match=r"^good: the check was bad, so it was aborted$"):
        await over(injection)


async def test_one_that_somebody_aborted_is_told(cluster: FakeCluster) -> None:
    injection, played = await begun(cluster, WORKFLOW)
    played.root["metadata"]["annotations"]["workflow.chaos-mesh.org/abort"] = "true"
    played.over()
    with pytest.raises(WorldError, match=r"^somebody aborted it"):
        await over(injection)


async def test_one_that_does_not_end_is_told(cluster: FakeCluster) -> None:
    injection, _ = await begun(cluster, WORKFLOW, longest=0.01)
    with pytest.raises(WorldError, match=r"^it was not Accomplished within 0\.01 s: it was not over$"):
        await over(injection)


async def test_looks_that_fail_are_taken_again_unless_they_are_forbidden(cluster: FakeCluster) -> None:
    injection, played = await begun(cluster, WITH_SCHEDULE)
    schedule = cluster.put("schedules", "s", metadata=owned(played.node("all", "Schedule")))
    played.fault(schedule, **injected("a"))
    played.over()
    cluster.trouble = {"GET": [(ApiUnreachableError("no answer"), False)] * 3}
    await over(injection)
    cluster.trouble = {"GET": [(ApiRefusedError("forbidden"), False)]}
    with pytest.raises(WorldError, match="what it makes cannot be looked at: forbidden"):
        await over(injection)


async def test_it_is_over_only_when_its_faults_are_gone_too(cluster: FakeCluster) -> None:
    injection, played = await begun(cluster, WORKFLOW, longest=0.05)
    played.fault(played.node("kill"), **injected("a"))
    with pytest.raises(WorldError):
        await over(injection)
    ending = asyncio.create_task(injection.recover())
    async with asyncio.timeout(10):
        while f"{GROUP}/workflows/it" in cluster.objects:
            await asyncio.sleep(0.001)
    await looks(cluster)
    assert not ending.done()
    del cluster.objects[f"{GROUP}/podchaos/f"]
    await ending


async def test_a_fault_that_stays_is_told(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injections, "_GONE", 0.01)
    injection, played = await begun(cluster, SCHEDULE, longest=0.05)
    played.fault(played.root, **injected("a"))
    await over(injection)
    told = "1 of its faults are deleted and still there, .*: `kubectl -n pairsim delete podchaos.chaos-mesh.org/f`"
    with pytest.raises(WorldError, match=told):
        await injection.recover()


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        ([injected("a")], ""),
        ([injected("a"), {}], ""),  # begun a moment ago
        ([injected("a"), NOBODY], ""),
        ([injected("a"), FAILED], "pairsim/a: netem"),
        ([NOBODY], "its selector means no pod that is there now"),
        ([{}], "its time was over before any of its faults was made"),
        ([], "its time was over before any of its faults was made"),
    ],
)
async def test_a_schedule_is_good_if_it_made_a_fault(cluster: FakeCluster, statuses: list[Item], told: str) -> None:
    injection, played = await begun(cluster, SCHEDULE, longest=0.05)
    for number, status in enumerate(statuses):
        played.fault(played.root, name=f"f{number}", **status)
    if not told:
        await over(injection)
        assert injection.targets == ("a",)
        return
    with pytest.raises(WorldError, match=f"^{told}$"):
        await over(injection)


async def test_a_schedule_may_make_workflows(cluster: FakeCluster) -> None:
    injection, played = await begun(cluster, OF_WORKFLOWS, longest=0.05)
    workflow = cluster.put("workflows", "it-1", metadata=owned(played.root))
    node = played.node("all", "Schedule", under=workflow)
    played.fault(cluster.put("schedules", "s", metadata=owned(node)), **injected("a"))
    await over(injection)
    assert injection.targets == ("a",)


async def test_a_schedule_that_cannot_come_to_its_first_fault_is_refused(cluster: FakeCluster) -> None:
    made = experiment("Schedule", f'  schedule: "@every 10m"\n  type: PodChaos\n  podChaos: {KILL}\n')
    told = "its first fault comes after 600 s, and it lasts 600 s: give more --at-most"
    assert await cluster.world(600.0).refusal(made) == told
    assert await cluster.world(601.0).refusal(made) == ""
    assert await cluster.world(1.0).refusal(SCHEDULE) == ""


async def test_a_workflow_that_cannot_end_in_its_time_is_refused(cluster: FakeCluster) -> None:
    (day,) = load_experiments((EXPERIMENTS / "game-day.yaml").read_text())
    told = "all of it takes 270 s at least, and it is given 15 s: give more --at-most"
    assert await cluster.world(15.0).refusal(day) == told
    assert await cluster.world(271.0).refusal(day) == ""


async def test_what_the_cluster_does_not_know_is_refused_before_anything_is_made(cluster: FakeCluster) -> None:
    assert await cluster.world().refusal(WORKFLOW) == ""
    asked = [path.rpartition("/")[2] for _, path in cluster.requests]
    assert asked == ["workflows", "workflownodes", "podchaos", "networkchaos"]


async def test_a_workflow_can_be_aborted_though_its_file_has_no_annotations(cluster: FakeCluster) -> None:
    made = experiment("Workflow", f"  entry: all\n  templates:{SCHEDULED}", "{name: it}")
    await cluster.world().inject(made, None)  # type: ignore[arg-type]
    assert cluster.objects[f"{GROUP}/workflows/it"]["metadata"]["annotations"]
