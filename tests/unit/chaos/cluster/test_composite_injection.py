"""Workflows and schedules that Chaos Mesh runs: good only if they ended and their faults were injected."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pairsim_chaos.cluster import chaos_object, injections
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.experiment.model import Experiment
from pairsim_chaos.target import Injection, WorldError
from pairsim_controller.kube.api.connection import REQUEST_SECONDS, ApiRefusedError, ApiUnreachableError
from tests.chaos_mesh_pipeline import selected
from tests.unit.chaos.cluster.fake_cluster import GROUP, FakeCluster, Item, experiment, injected

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
UNSELECTED = {"conditions": [{"type": "Selected", "status": "False"}]}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    monkeypatch.setattr(chaos_object, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(injections, "_POLL_SECONDS", 0.001)
    return FakeCluster()


def owned(by: Item) -> Item:
    return {"ownerReferences": [{"uid": by["metadata"]["uid"], "kind": "whatever"}]}


class FakeChaosMesh:
    """Chaos Mesh, whose steps the test takes by hand."""

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

    def accomplish(self) -> None:
        self.root["status"] = {"conditions": [{"type": "Accomplished", "status": "True"}]}


async def start(
    cluster: FakeCluster, made: Experiment, max_duration: float = 3600.0
) -> tuple[Injection, FakeChaosMesh]:
    injection = await cluster.target(max_duration).inject(made, None)  # type: ignore[arg-type]  # a cluster does not use the handler
    return injection, FakeChaosMesh(cluster, made)


async def wait(injection: Injection) -> None:
    async with asyncio.timeout(10):
        await injection.wait()


async def await_polls(cluster: FakeCluster, count: int = 2) -> None:
    """Waits until all objects have been polled again."""
    before = len(cluster.requests)
    async with asyncio.timeout(10):
        while len(cluster.requests) < before + count * 5:
            await asyncio.sleep(0.001)


async def test_a_workflow_is_good_if_all_its_faults_were_injected(cluster: FakeCluster) -> None:
    injection, mesh = await start(cluster, WORKFLOW)
    waiting = asyncio.create_task(wait(injection))
    top = mesh.node("all", "Serial")
    mesh.node("good", "StatusCheck", under=top)
    for template, plural, pod in (("kill", "podchaos", "a"), ("cut", "networkchaos", "b")):
        fault = mesh.fault(mesh.node(template, under=top), plural, template, **injected(pod))
        await await_polls(cluster)
        del cluster.objects[f"{GROUP}/{plural}/{fault['metadata']['name']}"]  # the template ends
    mesh.accomplish()
    await waiting
    assert injection.targets == ("a", "b")
    await injection.recover()
    assert f"{GROUP}/workflows/it" not in cluster.objects


async def test_an_earlier_injection_is_remembered(cluster: FakeCluster) -> None:
    injection, mesh = await start(cluster, WORKFLOW)
    waiting = asyncio.create_task(wait(injection))
    for template, plural, pod in (("kill", "podchaos", "a"), ("cut", "networkchaos", "b")):
        fault = mesh.fault(mesh.node(template), plural, template, **injected(pod))
        await await_polls(cluster)
        fault["status"] = UNSELECTED
    await await_polls(cluster)
    mesh.accomplish()
    await waiting
    assert injection.targets == ("a", "b")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (FAILED, "cut: pairsim/a: netem"),
        (UNSELECTED, "cut: the selector matches no existing pod"),
        ({}, "cut: the fault was not injected"),
        (None, "cut: the fault was not injected"),
    ],
)
async def test_a_workflow_with_a_fault_that_was_not_injected_is_an_error(
    cluster: FakeCluster, status: Item | None, message: str
) -> None:
    injection, mesh = await start(cluster, WORKFLOW)
    mesh.fault(mesh.node("kill"), **injected("a"))
    cut = mesh.node("cut")
    if status is not None:
        mesh.fault(cut, "networkchaos", **status)
    mesh.accomplish()
    with pytest.raises(WorldError, match=f"^{message}"):
        await wait(injection)


async def test_a_workflow_that_ended_before_a_fault_is_an_error(cluster: FakeCluster) -> None:
    injection, mesh = await start(cluster, WORKFLOW)
    mesh.fault(mesh.node("kill"), **injected("a"))
    mesh.accomplish()
    with pytest.raises(WorldError, match=r"^cut: the time ended before the fault was injected$"):
        await wait(injection)


async def test_a_template_that_runs_twice_needs_two_injections(cluster: FakeCluster) -> None:
    injection, mesh = await start(cluster, WORKFLOW)
    mesh.fault(mesh.node("kill"), **injected("a"))
    mesh.fault(mesh.node("cut"), "networkchaos", **injected("a"))
    mesh.node("kill")
    mesh.accomplish()
    with pytest.raises(WorldError, match=r"^kill: the fault was not injected$"):
        await wait(injection)


BRANCHING = experiment(
    "Workflow",
    "  entry: look\n  templates:\n    - name: look\n      templateType: Task\n      deadline: 9s\n"
    "      task: {container: {name: look, image: any}}\n"
    "      conditionalBranches: [{target: kill, expression: exitCode == 0}]\n"
    f"    - {{name: kill, templateType: PodChaos, deadline: 9s, podChaos: {KILL}}}\n",
)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (None, "no fault of the workflow was injected, because its tasks chose other branches"),
        (FAILED, "kill: pairsim/a: netem"),
        (injected("a"), ""),
    ],
)
async def test_a_fault_in_a_branch_has_to_be_injected_if_the_branch_is_chosen(
    cluster: FakeCluster, status: Item | None, message: str
) -> None:
    injection, mesh = await start(cluster, BRANCHING)
    look = mesh.node("look", "Task")
    if status is not None:
        mesh.fault(mesh.node("kill", under=look), **status)
    mesh.accomplish()
    if not message:
        await wait(injection)
        return
    with pytest.raises(WorldError, match=f"^{message}$"):
        await wait(injection)


async def test_faults_of_others_do_not_count(cluster: FakeCluster) -> None:
    injection, mesh = await start(cluster, WORKFLOW)
    other = cluster.put("workflows", "other")
    for template, plural in (("kill", "podchaos"), ("cut", "networkchaos")):
        mesh.fault(mesh.node(template, under=other), plural, **injected("a"))
    cluster.put("podchaos", "lonely", status=injected("z"))
    mesh.accomplish()
    with pytest.raises(WorldError, match="kill: the time ended"):
        await wait(injection)
    assert injection.targets == ()


async def test_a_workflow_with_a_failed_check_ends_at_once(cluster: FakeCluster) -> None:
    injection, mesh = await start(cluster, WORKFLOW)
    mesh.node("good", "StatusCheck", aborted=True)
    with pytest.raises(WorldError, match=r"^good: the check failed and aborted the workflow$"):
        await wait(injection)


async def test_a_workflow_that_was_aborted_is_an_error(cluster: FakeCluster) -> None:
    injection, mesh = await start(cluster, WORKFLOW)
    mesh.root["metadata"]["annotations"]["workflow.chaos-mesh.org/abort"] = "true"
    mesh.accomplish()
    with pytest.raises(WorldError, match=r"^another client aborted the workflow"):
        await wait(injection)


async def test_a_workflow_that_does_not_end_is_an_error(cluster: FakeCluster) -> None:
    injection, _ = await start(cluster, WORKFLOW, max_duration=0.01)
    with pytest.raises(
        WorldError, match=r"^the workflow was not Accomplished within 0\.01 s: the workflow was still running$"
    ):
        await wait(injection)


async def test_failed_polls_are_repeated_unless_they_are_forbidden(cluster: FakeCluster) -> None:
    injection, mesh = await start(cluster, WITH_SCHEDULE)
    schedule = cluster.put("schedules", "s", metadata=owned(mesh.node("all", "Schedule")))
    mesh.fault(schedule, **injected("a"))
    mesh.accomplish()
    cluster.trouble = {"GET": [(ApiUnreachableError("no answer"), False)] * 3}
    await wait(injection)
    cluster.trouble = {"GET": [(ApiRefusedError("forbidden"), False)]}
    with pytest.raises(WorldError, match="the objects of the experiment cannot be read: forbidden"):
        await wait(injection)


async def test_the_recovery_waits_until_the_faults_are_gone(cluster: FakeCluster) -> None:
    injection, mesh = await start(cluster, WORKFLOW, max_duration=0.05)
    mesh.fault(mesh.node("kill"), **injected("a"))
    with pytest.raises(WorldError):
        await wait(injection)
    ending = asyncio.create_task(injection.recover())
    async with asyncio.timeout(10):
        while f"{GROUP}/workflows/it" in cluster.objects:
            await asyncio.sleep(0.001)
    await await_polls(cluster)
    assert not ending.done()
    del cluster.objects[f"{GROUP}/podchaos/f"]
    await ending


async def test_a_fault_that_stays_is_reported(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injections, "_DELETION_SECONDS", 0.01)
    injection, mesh = await start(cluster, SCHEDULE, max_duration=0.05)
    mesh.fault(mesh.root, **injected("a"))
    await wait(injection)
    message = r"1 fault exists .*, delete it by hand with `kubectl -n pairsim delete podchaos.chaos-mesh.org/f`$"
    with pytest.raises(WorldError, match=message):
        await injection.recover()


async def test_a_fault_of_a_workflow_that_cannot_be_injected_is_removed(cluster: FakeCluster) -> None:
    injection, mesh = await start(cluster, WORKFLOW)
    mesh.fault(mesh.node("kill"), **injected("b"))
    mesh.fault(mesh.node("cut"), "networkchaos", "cut", **selected("pairsim/a"))
    cluster.on_read = cluster.pass_over_faults
    waiting = asyncio.create_task(wait(injection))
    await await_polls(cluster)
    mesh.accomplish()
    with pytest.raises(WorldError, match="unable to set tcs"):
        await waiting

    def collect() -> None:
        """Deletes the faults of the workflow after it, as the garbage collector does."""
        cluster.objects.pop(f"{GROUP}/podchaos/f", None)
        if f"{GROUP}/workflows/it" not in cluster.objects and (cut := cluster.objects.get(f"{GROUP}/networkchaos/cut")):
            cut["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        cluster.pass_over_faults()

    cluster.on_read = collect
    await injection.recover()
    assert not {"it", "cut", "a"} & set(cluster.names)


async def test_a_fault_that_was_created_after_the_last_poll_is_awaited_as_well(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injections, "_DELETION_SECONDS", 0.01)
    injection, mesh = await start(cluster, SCHEDULE, max_duration=0.01)
    with pytest.raises(WorldError, match="before any fault was injected"):
        await wait(injection)
    mesh.fault(mesh.root, **injected("a"))
    with pytest.raises(WorldError, match=r"^1 fault exists .* podchaos\.chaos-mesh\.org/f`$"):
        await injection.recover()


async def test_faults_are_looked_for_once_more_after_the_deadline(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injections, "_DELETION_SECONDS", 0.0)
    injection, mesh = await start(cluster, SCHEDULE, max_duration=0.01)
    mesh.fault(mesh.root, **injected("a"))
    await wait(injection)
    cluster.on_delete = cluster.objects.clear
    cluster.put("podchaos", "of another client")
    await injection.recover()
    assert cluster.timeouts[-1] > REQUEST_SECONDS


@pytest.mark.parametrize(
    ("statuses", "message"),
    [
        ([injected("a")], ""),
        ([injected("a"), {}], ""),  # created a moment ago
        ([injected("a"), UNSELECTED], ""),
        ([injected("a"), FAILED], "pairsim/a: netem"),
        ([UNSELECTED], "the selector matches no existing pod"),
        ([{}], "the time ended before any fault was injected"),
        ([], "the time ended before any fault was injected"),
    ],
)
async def test_a_schedule_is_good_if_a_fault_was_injected(
    cluster: FakeCluster, statuses: list[Item], message: str
) -> None:
    injection, mesh = await start(cluster, SCHEDULE, max_duration=0.05)
    for number, status in enumerate(statuses):
        mesh.fault(mesh.root, name=f"f{number}", **status)
    if not message:
        await wait(injection)
        assert injection.targets == ("a",)
        return
    with pytest.raises(WorldError, match=f"^{message}$"):
        await wait(injection)


async def test_a_schedule_may_create_workflows(cluster: FakeCluster) -> None:
    injection, mesh = await start(cluster, OF_WORKFLOWS, max_duration=0.05)
    workflow = cluster.put("workflows", "it-1", metadata=owned(mesh.root))
    node = mesh.node("all", "Schedule", under=workflow)
    mesh.fault(cluster.put("schedules", "s", metadata=owned(node)), **injected("a"))
    await wait(injection)
    assert injection.targets == ("a",)


async def test_a_schedule_whose_first_fault_comes_too_late_is_unsupported(cluster: FakeCluster) -> None:
    made = experiment("Schedule", f'  schedule: "@every 10m"\n  type: PodChaos\n  podChaos: {KILL}\n')
    message = "its first fault comes after 600 s, but it lasts only 600 s: raise --max-duration"
    assert await cluster.target(600.0).unsupported_reason(made) == message
    assert await cluster.target(601.0).unsupported_reason(made) == ""
    assert await cluster.target(1.0).unsupported_reason(SCHEDULE) == ""


async def test_a_workflow_that_cannot_end_in_time_is_unsupported(cluster: FakeCluster) -> None:
    (day,) = load_experiments((EXPERIMENTS / "game-day.yaml").read_text())
    message = "the workflow takes at least 270 s, but it may take only 15 s: raise --max-duration"
    assert await cluster.target(15.0).unsupported_reason(day) == message
    assert await cluster.target(271.0).unsupported_reason(day) == ""


async def test_unknown_kinds_are_detected_before_the_injection(cluster: FakeCluster) -> None:
    assert await cluster.target().unsupported_reason(WORKFLOW) == ""
    collections = [path.rpartition("/")[2] for _, path in cluster.requests]
    assert collections == ["workflows", "workflownodes", "podchaos", "networkchaos"]


async def test_a_workflow_can_be_aborted_although_its_file_has_no_annotations(cluster: FakeCluster) -> None:
    made = experiment("Workflow", f"  entry: all\n  templates:{SCHEDULED}", "{name: it}")
    await cluster.target().inject(made, None)  # type: ignore[arg-type]
    assert cluster.objects[f"{GROUP}/workflows/it"]["metadata"]["annotations"]
