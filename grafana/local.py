"""`python -m grafana.local FOLDER`: the files of a Prometheus for a world on this machine, with the same rules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import yaml

RULES = Path(__file__).parent / "rules"

Rule = dict[str, object]
Group = dict[str, object]


def rule_groups() -> list[Group]:
    """The groups of all PrometheusRule objects."""
    found: list[Group] = []
    for name in ("recording", "alerts"):
        document = yaml.safe_load((RULES / f"{name}.yaml").read_text(encoding="utf-8"))
        found.extend(cast("list[Group]", document["spec"]["groups"]))
    return found


def write(folder: Path, world: str, interval: str = "5s", groups: list[Group] | None = None) -> Path:
    """Writes the rules and the configuration, and returns the latter's path.

    Args:
        folder: Where.
        world: The address of `pairsim up`, http://HOST:PORT.
        interval: Between two scrapes, and between two evaluations of the rules.
        groups: In place of the project's rules.
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
    """Writes the files and says how to go on."""
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
