"""Simulators that are programs: `exec:PATH` names a program that speaks the protocol of engines (docs/engines.md).

A relative path is searched where the modules of authors are: in the folders of PYTHONPATH, in which `pairsim install`
puts packages, then among the installed packages, then in the current folder. PATH is not searched, since a world must
not depend on the programs of a machine that happen to have a name.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from pairsim.model.simulation.module_names import PROGRAM_PREFIX
from pairsim.model.simulation.simulator import SimulatorNotFoundError


def find_program(simulator: str) -> Path:
    """Returns the absolute path of the program that a simulator's name gives.

    Raises:
        SimulatorNotFoundError: The file is missing, or it cannot be executed.
    """
    given = simulator.removeprefix(PROGRAM_PREFIX)
    if not given or "\0" in given:
        raise SimulatorNotFoundError(f"the simulator {simulator!r} has no path: write exec:/path/to/program")
    folders = [Path("/")] if Path(given).is_absolute() else _folders()
    places = [folder / given for folder in folders]
    found = next((place for place in places if os.path.lexists(place)), None)
    if found is None:
        where = f"{places[0]} does not exist"
        if not Path(given).is_absolute():
            where = f"{given} is in none of the folders {', '.join(map(str, folders))}"
        raise SimulatorNotFoundError(f"the simulator {simulator!r} cannot be started: {where}")
    if not found.is_file():
        raise SimulatorNotFoundError(f"the simulator {simulator!r} cannot be started: {found} is not a file")
    if not os.access(found, os.X_OK):
        raise SimulatorNotFoundError(
            f"the simulator {simulator!r} cannot be started: {found} is not executable: run chmod +x {found}"
        )
    return found


def _folders() -> list[Path]:
    """Returns the folders of a relative path."""
    named = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    installed = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    try:
        here = [Path.cwd()]
    except OSError:  # the folder was removed
        here = []
    return [*dict.fromkeys(Path(os.path.abspath(folder)) for folder in (*named, *installed)), *here]  # noqa: PTH100 - a link may be replaced while the world runs
