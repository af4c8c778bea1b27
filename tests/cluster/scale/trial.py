"""The trial: how long the controller takes over much, what it costs when idle, and whether labels stay true."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from pairsim.model.labels import AREA_LABEL, ROLE_LABEL
from pairsim_controller.kube.api.objects import AreaObject
from tests.benchmarks.figures import Figure, report, single, times
from tests.cluster.native.sandbox import ClusterError
from tests.cluster.scale.apiserver import Control, free_port
from tests.cluster.scale.processes import Processes, wait
from tests.cluster.scale.watching import label
from tests.cluster.scale.world import World, area_name

REPORT = Path(os.environ.get("PAIRSIM_SCALE_REPORT", Path(tempfile.gettempdir()) / "pairsim-scale.json"))

_SWAP_SECONDS, _MEND_SECONDS, _SETTLE_SECONDS = 60.0, 120.0, 60.0
_QUIET = 5.0
_MB = 10**6


class Trial:
    """One API server, one controller, a growing world."""

    def __init__(self, folder: Path, witnesses: int) -> None:
        """Puts its files into a folder; logs are left there."""
        self._folder = folder
        self._processes = Processes(folder)
        self._control = Control(folder, self._processes)
        self._port = free_port()
        self.world = World(folder, self._processes, self._control, self._port)
        self._witnesses = witnesses
        self._areas: list[str] = []
        self.figures: list[Figure] = []
        self.detail: dict[str, object] = {}

    def open(self, simulators: int) -> None:
        """Everything runs; there are no pods and no areas yet. `simulators` there will be at most."""
        self._control.open()
        self.world.install()
        self.world.start_replicas(simulators, self._witnesses)
        wait("the replicas answer", self._answers, 20)
        self._controller = psutil.Process(self.world.start_controller(free_port()))

    def close(self) -> None:
        """Ends everything."""
        self.world.close()
        self._processes.close()
        shutil.rmtree(self._folder / "etcd", ignore_errors=True)

    def run(self, areas: Sequence[int], *, losses: int, rounds: int, idle: float) -> None:
        """The whole trial.

        Args:
            areas: The world grows to so many, one after the other.
            losses: Actives lost at once, when it has grown.
            rounds: How many times that is done.
            idle: Seconds for which it is watched doing nothing, at every size.

        Raises:
            ClusterError: Two pods were active of one area at a moment, or something did not come to its end.
        """
        self.open(2 * max(areas) + losses)
        for count in areas:
            self.grow(count, 2 * count + losses)
            self.idle(idle)
        for _ in range(rounds):
            self.lose(losses)
        self.world.seen.check()

    def write(self, path: Path) -> None:
        """Prints the figures as a table, and leaves them in a file."""
        report(self.figures, path)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"detail": self.detail}, indent=2) + "\n")

    # --- what is done

    def grow(self, areas: int, simulators: int) -> None:
        """More pods, then more areas, until all of them are founded and labelled."""
        self.world.make_pods(simulators, self._witnesses)
        self._wait("every pod is a spare or has an area", lambda: self._labelled(simulators), _SETTLE_SECONDS)
        fresh = [area_name(number) for number in range(len(self._areas), areas)]
        began = time.monotonic()
        self.world.apply_areas(fresh, 1024)
        applied = time.monotonic()
        self._areas += fresh
        self._wait("every area is founded and labelled", lambda: self._whole(self._areas), 30 + len(fresh) / 2)
        what = f"{len(fresh)} areas more, {areas} then"
        self.figures.append(single(f"{what}: until all are applied", "s", applied - began))
        self.figures.append(single(f"{what}: until all are founded and labelled", "s", time.monotonic() - began))

    def idle(self, seconds: float) -> None:
        """What the controller costs while nothing happens."""
        self._quiet()
        before, cpu, began = self._control.requests(), self._cpu(), time.monotonic()
        time.sleep(seconds)
        cpu, passed = self._cpu() - cpu, time.monotonic() - began
        made = [what for key, what in self._control.requests().items() if key not in before]
        count = len(self._areas)
        goal = 100 if count <= 100 else None
        memory = self._controller.memory_info().rss / _MB
        self.figures += [
            single(f"{count} areas: memory", "MB", memory, at_most=150.0 if goal else None),
            single(f"{count} areas, idle: requests", "1/s", len(made) / passed, at_most=1.0 if goal else None),
            single(f"{count} areas, idle: CPU", "% of one", 100 * cpu / passed),
        ]
        self.detail[f"requests of {count} areas in {passed:.0f} s"] = {
            f"{verb} {resource}": n for (verb, resource), n in Counter(made).most_common()
        }

    def lose(self, count: int) -> None:
        """So many areas lose their actives at once; returns when all of them have a pair again."""
        step = max(1, len(self._areas) // count)
        chosen = self._areas[::step][:count]
        self._quiet()
        lost = self._ask("/trial/lose", chosen)
        at = {one["area"]: (one["at"], one["new"]) for one in lost}
        self._wait("every label is swapped", lambda: self._swapped(at).keys() == at.keys(), _SWAP_SECONDS)
        seconds = list(self._swapped(at).values())
        began = min(since for since, _new in at.values())
        self._wait("every pair is whole again", lambda: self._whole(chosen), _MEND_SECONDS)
        self.figures += [
            times(f"{count} of {len(self._areas)} actives lost at once: label swapped", _ms(seconds), p99=3000),
            single("the same: until all pairs are whole again", "s", time.time() - began),
        ]
        self._ask("/trial/revive", [])
        self._wait("whoever came back is a spare", self._no_strays, _MEND_SECONDS)

    # --- what is seen

    def _wait(self, what: str, holds: Callable[[], bool], seconds: float) -> None:
        def checked() -> bool:
            self.world.seen.check()
            self._processes.check()
            return holds()

        wait(what, checked, seconds, 0.2)

    def _labelled(self, simulators: int) -> bool:
        roles = [label(pod, ROLE_LABEL) for pod in list(self.world.seen.pods.values())]
        return len(roles) - roles.count("") == simulators

    def _members(self) -> dict[str, dict[str, list[str]]]:
        """Pods by area and role, as they are labelled."""
        found: dict[str, dict[str, list[str]]] = {}
        for name, pod in list(self.world.seen.pods.items()):
            if area := label(pod, AREA_LABEL):
                found.setdefault(area, {}).setdefault(label(pod, ROLE_LABEL), []).append(name)
        return found

    def _whole(self, areas: Sequence[str]) -> bool:
        """Whether labels and statuses say the same, and that a passive could take over."""
        members, found = self._members(), dict(self.world.seen.areas)
        for name in areas:
            area, labelled = found.get(name), members.get(name, {})
            if area is None or area.status.assignment is None or not _holds(area, "Redundant"):
                return False
            active, passive = area.status.active, area.status.passive
            # Who was replaced and cannot be asked keeps the label that it had.
            if labelled.get("active") != [active] or passive not in labelled.get("passive", []):
                return False
            if {member.replica for member in area.status.assignment.replicas} != {active, passive}:
                return False
        return True

    def _no_strays(self) -> bool:
        members = self._members()
        pairs = all(len(members.get(a, {}).get(role, [])) == 1 for a in self._areas for role in ("active", "passive"))
        return pairs and self._whole(self._areas)

    def _swapped(self, at: dict[str, tuple[float, str]]) -> dict[str, float]:
        """Seconds from the loss to the new active's label, as a watch saw it."""
        found: dict[str, float] = {}
        for moment, area, pod in list(self.world.seen.roles.changes):
            since, new = at.get(area, (0.0, ""))
            if pod == new and moment >= since:
                found.setdefault(area, moment - since)
        return found

    # --- how

    def _quiet(self) -> None:
        """Until the controller has written nothing for a while but what it always writes."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            before = len(self._control.requests())
            time.sleep(_QUIET)
            if len(self._control.requests()) - before <= 2 * _QUIET:
                return
            if time.monotonic() > deadline:
                raise ClusterError(f"the controller is still busy after {_SETTLE_SECONDS:.0f} s")

    def _cpu(self) -> float:
        used = self._controller.cpu_times()
        return used.user + used.system

    def _ask(self, path: str, body: object) -> list[dict[str, object]]:
        url = f"http://127.0.0.1:{self._port}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data=json.dumps(body).encode()), timeout=30) as answer:
            return json.loads(answer.read())

    def _answers(self) -> bool:
        self._processes.check()
        try:
            self._ask("/trial/revive", [])
        except OSError:
            return False
        return True


def _ms(seconds: Sequence[float]) -> list[float]:
    return [1000 * one for one in seconds]


def _holds(area: AreaObject, kind: str) -> bool:
    condition = area.status.condition(kind)
    return condition is not None and condition.status == "True"
