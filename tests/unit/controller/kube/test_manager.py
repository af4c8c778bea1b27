"""The controller manager over real sockets: an API server in memory, and processes that answer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from pairsim.server.http.listener import serve_app
from pairsim_controller.cli.main import main, probes
from pairsim_controller.kube import manager
from pairsim_controller.kube.api.connection import Connection
from pairsim_controller.kube.api.port import AREAS, PODS, ApiError
from pairsim_controller.kube.api.writes import LEASES, SECRETS
from pairsim_controller.kube.manager import Manager, new_secret, token_of, yield_to
from pairsim_controller.kube.metrics import ControllerMetrics
from tests.unit.controller.cluster_harness import ClusterHarness, cluster_harness
from tests.unit.controller.fake_processes import TOKEN
from tests.unit.controller.kube.api_server import ServedApi, served


@asynccontextmanager
async def running_manager(file: Path, name: str) -> AsyncIterator[tuple[Manager, ControllerMetrics]]:
    """Runs a controller with a kubeconfig file and an identity."""
    metrics = ControllerMetrics()
    connection = await Connection.open(file, observe=metrics.observe_request)
    made = Manager(connection, connection.namespace, name, metrics)
    task = asyncio.create_task(made.run())
    try:
        yield made, metrics
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await connection.close()


@asynccontextmanager
async def cluster(folder: Path, simulators: int = 3) -> AsyncIterator[tuple[ClusterHarness, ServedApi, Path]]:
    """A cluster with the Secret whose token the processes know."""
    async with cluster_harness(simulators=simulators) as at:
        secret: Any = new_secret()
        secret["data"]["token"] = base64.b64encode(TOKEN.encode()).decode()
        at.api.put(SECRETS, secret)
        async with served(at.api, folder) as (server, file):
            yield at, server, file


def holder(at: ClusterHarness) -> str:
    lease = at.api.objects.get((LEASES.plural, "pairsim-controller"))
    return "" if lease is None else str(lease["spec"]["holderIdentity"])


async def test_a_controller_makes_a_pair_follows_its_roles_and_counts_its_work(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (at, _server, file), running_manager(file, "one") as (made, metrics):
        await at.paired()
        at.replicas.lead("west", "sim-2")
        await at.until(lambda: at.label("sim-2") == ("active", "west", "2"))
        await at.until(lambda: "Switchover" in {reason for _a, reason, _n in at.api.events})
        async with serve_app(probes(made, metrics), "127.0.0.1:0") as port, aiohttp.ClientSession() as http:
            for path in ("livez", "readyz"):
                async with http.get(f"http://127.0.0.1:{port}/{path}") as answer:
                    assert answer.status == 200
            async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
                text = await answer.text()
        assert "pairsim_controller_leading 1.0" in text
        assert "pairsim_controller_label_seconds_count 2.0" in text
        assert 'pairsim_controller_api_requests_total{status="200",verb="patch"}' in text


async def test_a_pod_whose_labels_were_edited_stays_in_sight(tmp_path: Path) -> None:
    """A watch by label would report that the pod is gone, while the area's Service still selects it."""
    async with cluster(tmp_path) as (at, _server, file), running_manager(file, "one"):
        await at.paired()
        at.api.change(PODS, "sim-1", lambda pod: pod["metadata"]["labels"].pop("app.kubernetes.io/part-of"))
        at.replicas.lead("west", "sim-2")
        await at.until(lambda: at.label("sim-2") == ("active", "west", "2"))
        await at.until(lambda: "app.kubernetes.io/part-of" in at.api.get(PODS, "sim-1")["metadata"]["labels"])
        assert at.label("sim-1")[:2] == ("passive", "west")


async def test_the_second_controller_takes_over_when_the_first_stops(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (at, _server, file):
        async with running_manager(file, "one"):
            await at.paired()
            assert holder(at) == "one"
            async with running_manager(file, "two") as (made, _metrics):
                await at.until(lambda: made.ready)
                assert holder(at) == "one"
        assert holder(at) == "", "the lease is released at once"
        at.replicas.lead("west", "sim-2")
        async with running_manager(file, "two"):
            await at.until(lambda: at.label("sim-2") == ("active", "west", "2"))
            assert holder(at) == "two"


async def test_labels_wait_while_the_api_server_is_unreachable_and_catch_up(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (at, server, file), running_manager(file, "one"):
        await at.paired()
        server.break_off()
        for name in ("sim-2", "sim-1", "sim-2"):
            at.replicas.lead("west", name)
        await asyncio.sleep(0)
        assert at.roles("west") == {"sim-1": "active", "sim-2": "passive"}
        server.cut = False
        await at.until(lambda: at.label("sim-2") == ("active", "west", "4"))
        await at.until(lambda: at.status("west").active == "sim-2")


async def test_the_world_secret_is_created_once(tmp_path: Path) -> None:
    async with cluster_harness() as at, served(at.api, tmp_path) as (_server, file):
        async with running_manager(file, "one") as (made, _metrics):
            await at.until(lambda: made.ready)
            token = token_of(at.api.get(SECRETS, "pairsim"))
            assert len(token) == 64
            assert token_of(new_secret()) != token
        async with running_manager(file, "two") as (made, _metrics):
            await at.until(lambda: made.ready)
        assert token_of(at.api.get(SECRETS, "pairsim")) == token


@pytest.mark.parametrize("data", [None, {}, {"token": ""}, {"token": "%%%"}, {"token": "/w=="}, {"token": 7}])
def test_a_secret_without_a_token_is_an_error(data: object) -> None:
    with pytest.raises(ApiError, match="has no token"):
        token_of({"data": data})


async def test_a_controller_that_loses_the_lease_stops_and_may_acquire_it_again(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (at, _server, file), running_manager(file, "one") as (made, _metrics):
        await at.paired()
        at.api.change(LEASES, "pairsim-controller", lambda lease: lease["spec"].update(holderIdentity="else"))
        await at.until(lambda: not made._lease.holds())
        at.replicas.lead("west", "sim-2")
        await at.until(lambda: not any("status-watcher-" in task.get_name() for task in asyncio.all_tasks()))
        assert at.label("sim-1") == ("active", "west", "1")
        at.api.change(LEASES, "pairsim-controller", lambda lease: lease["spec"].update(holderIdentity=""))
        await at.until(lambda: at.label("sim-2") == ("active", "west", "2"))
        assert at.api.get(AREAS, "west")["status"]["active"]


def test_missing_credentials_are_reported(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("{}")
    done = CliRunner().invoke(main, ["--kubeconfig", str(tmp_path / "empty")])
    assert done.exit_code == 1
    assert "no credentials for a cluster in" in done.output
    wrong = CliRunner().invoke(main, ["--log-level", "loud"], env={"KUBECONFIG": ""})
    assert wrong.exit_code != 0


async def test_status_work_yields_to_reconcile_work_but_does_not_starve(monkeypatch: pytest.MonkeyPatch) -> None:
    reconcile_queue, done = ["area"], list[str]()

    async def sync_status(key: str) -> None:
        done.append(key)

    monkeypatch.setattr(manager, "_MAX_YIELD_POLLS", 10**6)
    work = asyncio.create_task(yield_to(reconcile_queue, sync_status)("one"))
    await asyncio.sleep(0)
    assert not done
    reconcile_queue.clear()
    await asyncio.wait_for(work, 10)
    assert done == ["one"]

    reconcile_queue.append("area")
    monkeypatch.setattr(manager, "_MAX_YIELD_POLLS", 1)
    await asyncio.wait_for(yield_to(reconcile_queue, sync_status)("two"), 10)
    assert done == ["one", "two"]
