"""The command `python -m grafana.local FOLDER`: writes the configuration of a Prometheus for a local world."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click
import yaml

from pairsim.addresses import is_http_url

RULES = Path(__file__).parent / "rules"
_WORLD = "http://127.0.0.1:8080"

Rule = dict[str, object]
Group = dict[str, object]


def rule_groups() -> list[Group]:
    """Returns the rule groups of all PrometheusRule objects."""
    found: list[Group] = []
    for name in ("recording", "alerts"):
        document = yaml.safe_load((RULES / f"{name}.yaml").read_text(encoding="utf-8"))
        found.extend(cast("list[Group]", document["spec"]["groups"]))
    return found


def write(folder: Path, world: str, interval: str = "5s", groups: list[Group] | None = None) -> Path:
    """Writes the rules and the configuration of Prometheus; returns the configuration's path.

    Args:
        folder: The folder to write to; it is created if it does not exist.
        world: The address of `pairsim up`, http://HOST:PORT.
        interval: The time between two scrapes, and between two evaluations of the rules, as Prometheus writes it.
        groups: Rule groups to use instead of the project's; None for the project's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rules = folder / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": rule_groups() if groups is None else groups}), encoding="utf-8")
    discovery = {"url": f"{world}/v1/targets", "refresh_interval": interval}
    scrape = {"job_name": "pairsim", "http_sd_configs": [discovery]}
    configuration = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(rules.resolve())],
        "scrape_configs": [scrape],
    }
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return path


def _checked_url(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not is_http_url(value):
        raise click.BadParameter(f"{value!r} is not a URL such as {_WORLD}")
    return value.rstrip("/")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.argument("world", default=_WORLD, callback=_checked_url)
def main(folder: Path, world: str) -> None:
    """Writes the configuration of a Prometheus to FOLDER, and prints the command that starts it.

    WORLD is the address of `pairsim up`, http://127.0.0.1:8080 by default.
    """
    path = write(folder, world)
    data = path.parent / "data"
    click.echo(f"prometheus --config.file={path} --storage.tsdb.path={data} --web.listen-address=127.0.0.1:9090")


if __name__ == "__main__":
    main()
