"""Worlds beside each other: what they share is no part of any of them, so one can go without the others."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.unit.manifests.rendered import MANIFESTS, OVERLAYS, ROOT, Object, build, of_kind, overlay

_OF_A_WORLD = {
    "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget", "Role",
    "RoleBinding", "Service", "ServiceAccount",
}  # fmt: skip
_OF_ALL = {
    "CustomResourceDefinition", "PriorityClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
}  # fmt: skip


def written(*folders: str) -> Iterator[Object]:
    """The objects of files, without what puts them together."""
    for folder in folders:
        for path in (MANIFESTS / folder).rglob("*.yaml"):
            if path.name != "kustomization.yaml":
                yield from yaml.safe_load_all(path.read_text())


def named(objects: list[Object]) -> set[tuple[str, str, str]]:
    return {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in objects}


def second_world(tmp_path: Path) -> list[Object]:
    """The one that docs/kubernetes.md makes."""
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    ((place, text),) = re.findall(r"^```yaml\n# (manifests/overlays/\S+)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    (tmp_path / place).parent.mkdir()
    (tmp_path / place).write_text(text)
    return build((tmp_path / place).parent)


def test_every_server_listens_for_ipv4_and_ipv6_and_every_service_leads_to_both() -> None:
    text = "".join(path.read_text() for path in MANIFESTS.rglob("*.yaml"))
    assert len(re.findall(r"\[::\]:\d+", text)) == 6
    assert re.findall(r"0\.0\.0\.0:\d+", text) == []
    services = of_kind(list(written("base", "components")), "Service")
    assert [o["spec"]["ipFamilyPolicy"] for o in services] == ["PreferDualStack"]


def test_a_world_has_its_namespace_and_what_is_in_it() -> None:
    kinds = [o["kind"] for o in written("base", "components")]
    assert kinds.count("Namespace") == 1
    assert set(kinds) <= _OF_A_WORLD | {"Namespace"}


def test_what_worlds_share_is_in_no_namespace_and_names_none() -> None:
    shared = list(written("cluster"))
    assert {o["kind"] for o in shared} == _OF_ALL
    assert not re.search(r"\bnamespace", "".join(path.read_text() for path in (MANIFESTS / "cluster").glob("*.yaml")))


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_all_that_a_first_world_needs(name: str) -> None:
    assert {o["kind"] for o in overlay(name)} >= _OF_ALL | {"Namespace"}


def test_a_second_world_has_nothing_in_common_with_the_first(tmp_path: Path) -> None:
    second = second_world(tmp_path)
    assert not named(second) & named(overlay("default"))
    (namespace,) = of_kind(second, "Namespace")
    name = namespace["metadata"]["name"]
    assert {o["metadata"].get("namespace", name) for o in second} == {name}
    (binding,) = of_kind(second, "RoleBinding")
    assert [subject["namespace"] for subject in binding["subjects"]] == [name]
    assert {(kind, title) for kind, _, title in named(overlay("default")) if kind not in _OF_ALL | {"Namespace"}} == {
        (kind, title) for kind, _, title in named(second) if kind != "Namespace"
    }
