"""The example world of two areas and a Prometheus that scrapes it, shared by all monitoring tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.harness import ROOT, free_ports
from tests.process.monitoring.clusters import controller
from tests.process.monitoring.prometheus import Prometheus
from tests.process.world.running_worlds import RunningWorld, until

CLUSTER = {"namespace": "cluster", "pod": "controller-1", "container": "controller"}
PODS = {CLUSTER["pod"], "sim-1", "sim-2", "sim-3", "sim-4", "sim-5", "witness-1", "pairsim-up"}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed: run `apt-get install prometheus`")
    made = RunningWorld(tmp_path_factory.mktemp("monitored"))
    made.file.write_text((ROOT / "examples" / "two-areas.yaml").read_text())
    made.start()
    try:
        made.wait_for("the world is ready: .*")
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def prometheus(world: RunningWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    [port] = free_ports(1)
    folder = tmp_path_factory.mktemp("prometheus")
    made = Prometheus(folder, f"http://127.0.0.1:{world.port}", {f"127.0.0.1:{port}": CLUSTER})
    with controller(folder, port):
        made.start()
        try:
            until(lambda: made.up() >= PODS, "every process is scraped", made.up)
            yield made
        finally:
            made.close()
