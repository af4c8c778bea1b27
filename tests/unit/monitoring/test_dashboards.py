"""The dashboards' files are what the code says, and work in any Grafana."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import yaml

from grafana.dashboards.__main__ import ALL, FOLDER
from grafana.local import rule_groups
from tests.harness import ROOT
from tests.unit.manifests.rendered import build

DOCUMENTS: dict[str, dict[str, Any]] = {name: json.loads(make()) for name, make in ALL.items()}


def plain(rule: dict[str, Any]) -> dict[str, Any]:
    """Kustomize folds lines in its own way."""
    return rule | {"expr": " ".join(rule["expr"].split())}


@pytest.mark.parametrize("name", ALL)
def test_a_file_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == ALL[name](), "run `python -m grafana.dashboards`"


def test_every_file_has_its_code() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(ALL)
    assert len({document["uid"] for document in DOCUMENTS.values()}) == len(ALL)


@pytest.mark.parametrize("name", ALL)
def test_the_data_source_is_a_variable(name: str) -> None:
    document = DOCUMENTS[name]
    variables = {variable["name"]: variable for variable in document["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    sources = [part["datasource"]["uid"] for panel in document["panels"] for part in (panel, *panel["targets"])]
    sources += [one["datasource"]["uid"] for one in document.get("annotations", {}).get("list", [])]
    sources += [variable["datasource"]["uid"] for variable in variables.values() if variable["type"] == "query"]
    assert set(sources) == {"${datasource}"}


@pytest.mark.parametrize("name", ALL)
def test_panels_are_told_apart_and_lie_beside_each_other(name: str) -> None:
    panels = DOCUMENTS[name]["panels"]
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert all(panel["description"].endswith(".") for panel in panels)
    cells = [
        {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        for at in (panel["gridPos"] for panel in panels)
    ]
    assert not any(first & second for first, second in itertools.combinations(cells, 2))
    assert max(x for cell in cells for x, _ in cell) < 24


def test_takeovers_are_marked_in_a_chaos_run() -> None:
    marks = DOCUMENTS["chaos"]["annotations"]["list"]
    assert {mark["name"] for mark in marks} == {"Takeovers", "Wanted changes"}
    assert all(mark["enable"] and mark["titleFormat"] and mark["expr"] for mark in marks)


def test_kubernetes_gets_dashboards_rules_and_the_monitor() -> None:
    objects = build(ROOT / "grafana")
    assert {thing["metadata"]["namespace"] for thing in objects} == {"pairsim"}
    maps = [thing for thing in objects if thing["kind"] == "ConfigMap"]
    assert all(found["metadata"]["labels"]["grafana_dashboard"] == "1" for found in maps)
    given = {key.removesuffix(".json"): json.loads(text) for found in maps for key, text in found["data"].items()}
    assert given == DOCUMENTS
    rules = [thing for thing in objects if thing["kind"] == "PrometheusRule"]
    applied = {group["name"]: group["rules"] for rule in rules for group in rule["spec"]["groups"]}
    assert {name: [plain(rule) for rule in found] for name, found in applied.items()} == {
        str(group["name"]): [plain(rule) for rule in group["rules"]]  # type: ignore[attr-defined]
        for group in rule_groups()
    }


def test_the_monitor_finds_every_pod_that_serves_metrics() -> None:
    monitor = yaml.safe_load((ROOT / "grafana" / "podmonitor.yaml").read_text())["spec"]
    [wanted] = monitor["selector"]["matchExpressions"]
    [endpoint] = monitor["podMetricsEndpoints"]
    found = set()
    for thing in build(ROOT / "manifests" / "overlays" / "default"):
        if thing["kind"] != "Deployment":
            continue
        template = thing["spec"]["template"]
        labels = template["metadata"]["labels"]
        assert monitor["selector"]["matchLabels"].items() <= labels.items()
        assert labels[monitor["jobLabel"]] == "pairsim"
        [container] = template["spec"]["containers"]
        assert container["name"] == labels[wanted["key"]], "rules tell kinds apart by the container's name"
        assert endpoint["port"] in {port["name"] for port in container["ports"]}
        found.add(labels[wanted["key"]])
    assert found == set(wanted["values"])
