"""A real Prometheus with the project's rules, sped up."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from grafana.local import Group, rule_groups, write
from tests.harness import DIE_WITH_PARENT, free_ports
from tests.process.world.running_worlds import until

FASTER = 15
"""How much shorter all durations are: 15 s in the rules and between two scrapes become one second."""

_SECONDS = {"s": 1, "m": 60, "h": 3600}


def faster(groups: list[Group]) -> list[Group]:
    """Returns the rules with every duration divided by `FASTER`."""

    def divided(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) * _SECONDS[found[3]] // FASTER}s{found[4]}"

    text = yaml.safe_dump(groups, width=10_000)
    text = re.sub(r"(\[)(\d+)([smh])(\])", divided, text)
    text = re.sub(r"^( *for: )(\d+)([smh])()$", divided, text, flags=re.MULTILINE)
    scaled: list[Group] = yaml.safe_load(text)
    return scaled


class Prometheus:
    """A Prometheus process."""

    def __init__(self, folder: Path, world: str, more: dict[str, dict[str, str]]) -> None:
        """Scrapes a world, and the addresses in `more` with their labels."""
        self._folder = folder
        self.url = f"http://127.0.0.1:{free_ports(1)[0]}"
        self.file = write(folder, world, "1s", faster(rule_groups()))
        configuration = yaml.safe_load(self.file.read_text())
        configuration["scrape_configs"][0]["static_configs"] = [
            {"targets": [address], "labels": labels} for address, labels in more.items()
        ]
        self.file.write_text(yaml.safe_dump(configuration))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("prometheus")
        assert program is not None
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *DIE_WITH_PARENT, program, f"--config.file={self.file}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        until(self._ready, "Prometheus is ready", (self._folder / "log").read_text)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)

    def _ready(self) -> bool:
        try:
            self._ask("/-/ready").close()
        except urllib.error.URLError:
            return False
        return True

    def _ask(self, path: str) -> Any:
        return urllib.request.urlopen(f"{self.url}{path}", timeout=10)  # noqa: S310 - an address of this machine

    def get(self, path: str, **query: str) -> Any:
        try:
            with self._ask(f"{path}?{urllib.parse.urlencode(query)}") as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {query}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Returns the current series of an expression."""
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float | None:
        """Returns the value of an expression with at most one series; None without one."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Returns the firing alerts by name and area."""
        return {
            (alert["labels"]["alertname"], alert["labels"].get("area", "")): alert
            for alert in self.get("/api/v1/alerts")["alerts"]
            if alert["state"] == "firing"
        }

    def up(self) -> set[str]:
        """Returns the pods whose last scrape succeeded."""
        targets = self.get("/api/v1/targets", state="active")["activeTargets"]
        return {target["labels"]["pod"] for target in targets if target["health"] == "up"}
