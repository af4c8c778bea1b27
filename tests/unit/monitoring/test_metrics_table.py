"""docs/metrics.md says what the processes really tell."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp

from pairsim.server.http.listener import serve_app
from pairsim_controller.local.api import world_app
from tests.harness import ROOT
from tests.unit.controller.local_worlds import local_world
from tests.unit.monitoring.exposed import Told, everything

DOCUMENT = ROOT / "docs" / "metrics.md"
_ALLOWED = {
    "area",
    "role",
    "result",
    "state",
    "order",
    "verb",
    "status",
    "queue",
    "reason",
    "process",
    "neighbour",
    "direction",
    "plane",
}


def row(told: Told, kinds: list[str]) -> str:
    labels = ", ".join(f"`{label}`" for label in sorted(told.labels))
    served = ", ".join(kinds)
    return f"| `{told.name}` | {told.kind} | {told.unit} | {labels} | {told.meaning} | {served} |"


def table(found: dict[str, list[Told]]) -> list[str]:
    """The rows as they should be."""
    rows: dict[Told, list[str]] = {}
    for kind, metrics in found.items():
        for told in metrics:
            rows.setdefault(told, []).append(kind)
    return [row(told, kinds) for told, kinds in sorted(rows.items(), key=lambda item: (item[1][0], item[0].name))]


async def test_the_table_is_what_is_told(tmp_path: Path) -> None:
    written = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `pairsim_")]
    expected = table(await everything(tmp_path))
    assert sorted(written) == sorted(expected), "docs/metrics.md should have these rows:\n" + "\n".join(expected)


async def test_names_and_labels_follow_the_rules(tmp_path: Path) -> None:
    for kind, metrics in (await everything(tmp_path)).items():
        assert len({told.name for told in metrics}) == len(metrics), kind
        for told in metrics:
            assert (told.kind == "counter") == told.name.endswith("_total"), told
            assert told.kind != "histogram" or told.name.endswith("_seconds"), told
            assert not re.search(r"_(ms|millis\w*|kb|mb|percent)\b", told.name), told
            assert told.labels <= _ALLOWED, told
            assert told.meaning.endswith("."), told
            assert kind != "simulator" or "area" in told.labels, told


async def test_a_local_world_tells_where_its_processes_are_scraped(tmp_path: Path) -> None:
    async with (
        local_world(tmp_path) as made,
        serve_app(world_app(made.world), "127.0.0.1:0") as port,
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}/v1/targets") as answer,
    ):
        assert answer.content_type == "application/json"
        targets = {target["labels"]["pod"]: target for target in await answer.json()}
    assert targets.pop("pairsim-up") == {
        "targets": [f"127.0.0.1:{port}"],
        "labels": {"namespace": "local", "pod": "pairsim-up", "container": "up"},
    }
    assert {pod: t["labels"]["container"] for pod, t in targets.items()} == {
        name: place.spec.kind.value for name, place in made.places.items()
    }
    assert {pod: t["targets"] for pod, t in targets.items()} == {
        name: [place.url.removeprefix("http://")] for name, place in made.places.items()
    }
