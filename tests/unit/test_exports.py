"""The public names of the packages: what a program may import, and what an import costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from types import ModuleType

import pytest

import pairsim
import pairsim.simulator
from tests.unit.manifests.rendered import ROOT

HEAVY = ("aiohttp", "msgspec", "numpy", "numba", "click", "rich", "yaml", "structlog", "kubernetes", "asyncio")


@pytest.mark.parametrize("module", [pairsim, pairsim.simulator])
def test_every_exported_name_exists_and_has_documentation_of_its_own(module: ModuleType) -> None:
    assert module.__all__ == sorted(module.__all__, key=lambda name: (name.lower() == name, name))
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name
            assert value.__module__.startswith("pairsim."), name


def test_the_package_has_no_other_public_names() -> None:
    assert dir(pairsim) == sorted(pairsim.__all__)
    own = {name for name in vars(pairsim) if not name.startswith("_") and not inspect.ismodule(vars(pairsim)[name])}
    assert own - {"annotations", "TYPE_CHECKING", "import_module"} <= set(pairsim.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Catalogue'"):
        pairsim.Catalogue  # type: ignore[attr-defined]  # noqa: B018 - the access is what is tested


def test_the_module_for_authors_has_no_other_public_names() -> None:
    own = {name for name, value in vars(pairsim.simulator).items() if not name.startswith("_")}
    assert own - {"annotations"} == set(pairsim.simulator.__all__)


def test_the_version_is_the_installed_one() -> None:
    assert pairsim.__version__ == __import__("importlib.metadata").metadata.version("pairsim")


def test_the_import_of_the_package_loads_nothing_heavy() -> None:
    code = f"import pairsim, sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_import_for_authors_loads_neither_servers_nor_the_client() -> None:
    code = (
        "import pairsim.simulator, sys;"
        "print([n for n in sys.modules if n.startswith(('pairsim.server', 'pairsim.client', 'pairsim.replication'))],"
        " [n for n in ('aiohttp', 'numba', 'click', 'structlog') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[] []\n"


@pytest.mark.parametrize("package", ["pairsim", "controller/pairsim_controller", "chaos/pairsim_chaos"])
def test_the_packages_are_marked_as_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
