"""The command `python -m grafana.local FOLDER`: writes the configuration of a Prometheus for a local world."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import yaml

RULES = Path(__file__).parent / "rules"

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


def main() -> None:
    """Writes the files and prints the command that starts Prometheus."""
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: python -m grafana.local FOLDER [http://127.0.0.1:8080]")
    world = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8080"
    path = write(Path(sys.argv[1]), world.rstrip("/"))
    data = path.parent / "data"
    sys.stdout.write(
        f"prometheus --config.file={path} --storage.tsdb.path={data} --web.listen-address=127.0.0.1:9090\n"
    )


if __name__ == "__main__":
    main()
