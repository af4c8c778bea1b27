"""The image: pinned, with all that its commands need, and run as the manifests say."""

from __future__ import annotations

import fnmatch
import re
import tomllib

import pytest
from packaging.requirements import Requirement

from pairsim.simulators.prebuilt import Prebuilt
from tests.unit.manifests.rendered import ROOT, containers, deployments, overlay

DOCKERFILE = (ROOT / "Dockerfile").read_text()
FINAL = DOCKERFILE.rpartition("\nFROM ")[2]


def pinned(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / lock).read_text()
    found = re.findall(
        r"^([a-z0-9.-]+)==(\S+)[^\n]*\\\n((?: +--hash=sha256:[0-9a-f]{64}[ \\]*\n)+)", text, re.MULTILINE
    )
    assert len(found) == len(re.findall(r"^[a-z]", text, re.MULTILINE)), "a line without version and hash"
    return {name: version for name, version, _ in found}


@pytest.mark.parametrize("lock", ["image.lock", "build.lock"])
def test_no_lock_names_a_registry(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    assert "://" not in text


def test_the_lock_holds_all_that_the_project_and_its_extras_depend_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    image, build = pinned("image.lock"), pinned("build.lock")
    extras = project["project"]["optional-dependencies"]
    of_image = [*project["project"]["dependencies"], *extras["simulator"], *extras["controller"], *extras["chaos"]]
    for lock, needs in ((image, of_image), (build, project["build-system"]["requires"])):
        for requirement in map(Requirement, needs):
            name = re.sub(r"[-_.]+", "-", requirement.name).lower()
            assert name in lock, f"{name} is not locked: see the head of the lock file"
            assert requirement.specifier.contains(lock[name], prereleases=True), name


def test_pip_checks_every_hash() -> None:
    assert all("--require-hashes" in line or "--no-index" in line for line in _pip_lines()), _pip_lines()


def _pip_lines() -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(r"/pip (?:--python \S+ )?(?:install|wheel) [^&\n]*", joined)


def test_both_stages_use_the_base_image_that_the_user_names() -> None:
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${BASE}", "${BASE}"]
    (base,) = re.findall(r"^ARG BASE=(\S+)", DOCKERFILE, re.MULTILINE)
    assert base == "docker.io/library/python:3.12-slim-bookworm"


def test_user_and_ports_are_those_of_the_pods() -> None:
    (user,) = re.findall(r"^USER (\d+):(\d+)", FINAL, re.MULTILINE)
    exposed = {int(p) for p in re.findall(r"^EXPOSE (.+)", FINAL, re.MULTILINE)[0].split()}
    ports = set()
    for template in deployments(overlay("default")).values():
        context = template["spec"]["securityContext"]
        assert (str(context["runAsUser"]), str(context["runAsGroup"])) == user
        ports |= {p["containerPort"] for c in containers(template) for p in c["ports"]}
    assert ports == exposed


def test_the_last_stage_runs_nothing() -> None:
    """Every file comes from the stage that sets times; a command would leave files of its own."""
    assert re.findall(r"^(?:RUN|ADD) ", FINAL, re.MULTILINE) == []
    assert re.findall(r"^COPY .*", FINAL, re.MULTILINE) == ["COPY --from=build /opt /opt"]


def test_kernels_are_read_from_the_folder_that_they_were_built_in() -> None:
    environments = re.findall(r"NUMBA_CACHE_DIR=(\S+) NUMBA_CPU_NAME=(\S+)", DOCKERFILE)
    assert len(environments) == 2
    assert len(set(environments)) == 1
    locators = set(re.findall(r"(?:LOCATORS|NUMBA_CACHE_LOCATOR_CLASSES)=([\w.,]+)", DOCKERFILE))
    assert len(locators) == 1
    assert locators.pop().split(",")[0] == f"{Prebuilt.__module__}.{Prebuilt.__name__}"


def test_commands_of_the_pods_are_in_the_image() -> None:
    commands = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    used = {c["command"][0] for t in deployments(overlay("default")).values() for c in containers(t)}
    assert used == {"pairsim", "pairsim-controller"}
    # The controller's command comes with the controller's own module.
    assert used - {"pairsim-controller"} <= commands.keys()


def test_the_build_sees_the_sources_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    assert lines[0] == "*"
    kept = {line[1:] for line in lines if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {*project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], project["project"]["readme"]}
    assert kept == needed | {"pyproject.toml", "LICENSE", "requirements"}
    assert all((ROOT / name).exists() for name in kept)
    dropped = [line for line in lines[1:] if not line.startswith("!")]
    assert any(fnmatch.fnmatch("x/__pycache__", line) for line in dropped)


def test_the_default_image_is_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {c["image"] for t in deployments(overlay("default")).values() for c in containers(t)}
    assert images == {f"pairsim:{version}"}
