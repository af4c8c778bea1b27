"""The command `python -m grafana.dashboards`: writes the JSON files of the dashboards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from grafana.dashboards import area, borders, chaos, controller, world

FOLDER = Path(__file__).parent
ALL: dict[str, Callable[[], str]] = {
    "world": world.build,
    "area": area.build,
    "borders": borders.build,
    "controller": controller.build,
    "chaos": chaos.build,
}


@click.command()
def main() -> None:
    """Writes the JSON files of all dashboards beside their code."""
    for name, build in ALL.items():
        (FOLDER / f"{name}.json").write_text(build(), encoding="utf-8")


if __name__ == "__main__":
    main()
