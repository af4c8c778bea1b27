"""The rules, as Prometheus's own tool checks and runs them; every alert fires, keeps quiet, and has its page."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.local import rule_groups, write
from tests.harness import ROOT
from tests.unit.monitoring.alarms import ALARMS, Series

RUNBOOKS = ROOT / "grafana" / "runbooks"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in rule_groups()
    for rule in group["rules"]  # type: ignore[attr-defined]
    if "alert" in rule
}


def promtool(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed: `apt-get install prometheus` does it")
    return subprocess.run([tool, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def case(alert: str, series: Series, at: str, *, fires: bool) -> dict[str, object]:
    query = f'group by (alertname, alertstate) (ALERTS{{alertname="{alert}", alertstate="firing"}})'
    sample = {"labels": f'{{alertname="{alert}", alertstate="firing"}}', "value": 1}
    return {
        "interval": "15s",
        "name": f"{alert} {'fires' if fires else 'keeps quiet'}",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": at, "exp_samples": [sample] if fires else []}],
    }


def test_prometheus_takes_rules_and_configuration(tmp_path: Path) -> None:
    write(tmp_path, "http://127.0.0.1:8080")
    done = promtool("check", "config", "--lint-fatal", "prometheus.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool("check", "rules", "--lint-fatal", "rules.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    assert ALARMS.keys() == ALERTS.keys()
    write(tmp_path, "http://127.0.0.1:8080")
    cases = [
        case(name, series, alarm.at, fires=fires)
        for name, alarm in ALARMS.items()
        for several, fires in (((alarm.bad, *alarm.worse), True), ((alarm.good, *alarm.better), False))
        for series in several
    ]
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "15s", "tests": cases}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    done = promtool("test", "rules", "tests.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_an_alert_says_reads_well(tmp_path: Path) -> None:
    write(tmp_path, "http://127.0.0.1:8080")
    expected = {
        "exp_labels": {"namespace": "n", "area": "west", "severity": "warning"},
        "exp_annotations": {
            "summary": "Area west stood still for 800ms in a takeover",
            "description": "Takeovers of west (n) took 800ms on average within 15 minutes; a crash should cost less "
            "than 0.1 s, a hung machine or a cut link less than 0.5 s.",
            "runbook_url": "grafana/runbooks/PairsimTakeoverSlow.md",
        },
    }
    alert_test = {"eval_time": "10m", "alertname": "PairsimTakeoverSlow", "exp_alerts": [expected]}
    one = case("PairsimTakeoverSlow", ALARMS["PairsimTakeoverSlow"].bad, "10m", fires=True)
    one = one | {"alert_rule_test": [alert_test]}
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "15s", "tests": [one]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    done = promtool("test", "rules", "tests.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_wrong_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert not rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")
    assert rule["annotations"]["runbook_url"] == f"grafana/runbooks/{name}.md"


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_page_helps(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## What it means",
        "## How to see it",
        "## What to do",
    ]
    commands = re.findall(r"^ *(?:kubectl|pairsim|curl|promtool) .*$", page, re.MULTILINE)
    assert commands, "a page has commands to copy"


def test_there_is_no_page_without_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(ALERTS)


def test_rules_use_metrics_that_there_are() -> None:
    """The table of metrics is kept true by another test."""
    told = set(re.findall(r"^\| `(pairsim_\w+)`", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
    recorded = {rule["record"] for group in rule_groups() for rule in group["rules"] if "record" in rule}  # type: ignore[attr-defined]
    for group in rule_groups():
        for rule in group["rules"]:  # type: ignore[attr-defined]
            for name in re.findall(r"[a-z_]*:?pairsim_\w+(?::\w+)?", rule["expr"]):
                plain = re.sub(r"_(bucket|sum|count)$", "", name)
                assert name in recorded or name in told or plain in told, f"{rule}: there is no {name}"
