"""Every panel of every dashboard shows data of a world that is busy and under attack."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from grafana.dashboards.__main__ import ALL
from tests.process.monitoring.conftest import CLUSTER
from tests.process.monitoring.prometheus import Prometheus
from tests.process.world.running_worlds import PAIRSIM, ROOT, RunningWorld, until

_WORDS = {"$__rate_interval": "4s", "$__range": "5m", "$__interval": "1s", "$area": ".+"}


@pytest.fixture(scope="module")
def busy(world: RunningWorld) -> Iterator[RunningWorld]:
    """A world with commands for both areas, one takeover and one switchover."""
    loads = [
        subprocess.Popen(
            [*PAIRSIM, "send", area, "--rate", "50", "--seconds", "300", "--port", world.port],
            cwd=ROOT, stdout=subprocess.DEVNULL,
        )
        for area in ("west", "east")
    ]  # fmt: skip
    until(lambda: all(area.redundant for area in world.status().areas), "both areas are redundant", world.status)
    world.run("switchover", "east")
    world.run("kill", "west")
    yield world
    for load in loads:
        load.terminate()
        load.wait(20)


def substituted(expression: str, namespace: str) -> str:
    """Returns an expression as Grafana sends it, with the variables replaced."""
    for word, value in (_WORDS | {"$namespace": namespace}).items():
        expression = expression.replace(word, value)
    assert "$" not in expression, f"unknown variable: {expression}"
    return expression


def expressions(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the name and the expression of each panel's targets and of each annotation."""
    for panel in document["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']}: {target['legendFormat']}", target["expr"]
    for mark in document.get("annotations", {}).get("list", []):
        yield mark["name"], mark["expr"]


def empty(prometheus: Prometheus, document: dict[str, Any], namespace: str) -> dict[str, str]:
    """Returns the expressions that have no data now."""
    nothing = {}
    for whose, expression in expressions(document):
        sent = substituted(expression, namespace)
        if not any(math.isfinite(float(series["value"][1])) for series in prometheus.query(sent)):
            nothing[whose] = sent
    return nothing


@pytest.mark.parametrize("name", ALL)
def test_every_panel_shows_data(name: str, busy: RunningWorld, prometheus: Prometheus) -> None:
    namespace = CLUSTER["namespace"] if name == "controller" else "local"
    document = json.loads(ALL[name]())
    until(
        lambda: not empty(prometheus, document, namespace),
        "every panel shows data",
        lambda: empty(prometheus, document, namespace),
    )


@pytest.mark.parametrize("name", ALL)
def test_every_variable_has_values(name: str, prometheus: Prometheus) -> None:
    for variable in json.loads(ALL[name]())["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert found is not None, variable
            chosen = prometheus.query(f"group by ({found[2]}) ({substituted(found[1], 'local|cluster')})")
            wanted = {"namespace": {"local", "cluster"}, "area": {"west", "east"}}[found[2]]
            assert {series["metric"].get(found[2], "") for series in chosen} >= wanted
