"""Nothing may do more than it must: pods, the network, the controller's rights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.manifests.rendered import OVERLAYS, ROOT, Object, containers, deployments, of_kind, overlay, selects
from tests.unit.manifests.test_build import with_package

_VOLUMES = {"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"}


def violations(template: Object) -> Iterator[str]:
    """Of the restricted profile of the Pod Security Standards."""
    spec = template["spec"]
    pod = spec.get("securityContext", {})
    yield from (key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))
    yield from (f"volume {v['name']}" for v in spec.get("volumes", []) if not (v.keys() - {"name"}) <= _VOLUMES)
    yield from (f"sysctl {s['name']}" for s in pod.get("sysctls", []))
    for container in containers(template):
        own = {**pod, **container.get("securityContext", {})}
        capabilities = own.get("capabilities", {})
        wrong = {
            "privileged": own.get("privileged", False),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation", True),
            "runAsNonRoot": not own.get("runAsNonRoot", False),
            "runAsUser": own.get("runAsUser") == 0,
            "seccompProfile": own.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"},
            "capabilities.drop": "ALL" not in capabilities.get("drop", []),
            "capabilities.add": bool(set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}),
            "procMount": own.get("procMount", "Default") != "Default",
            "hostPort": any("hostPort" in port for port in container.get("ports", [])),
        }
        yield from (f"{container['name']}: {name}" for name, broken in wrong.items() if broken)


def check_pods(objects: list[Object]) -> None:
    for component, template in deployments(objects).items():
        assert list(violations(template)) == [], component
        spec = template["spec"]
        assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (65532, 65532)
        assert spec["priorityClassName"] == of_kind(objects, "PriorityClass")[0]["metadata"]["name"]
        for container in containers(template):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert container["resources"]["limits"].keys() == {"memory"}
            assert {m["name"] for m in container["volumeMounts"]} <= {v["name"] for v in spec["volumes"]}


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_keep_the_restricted_profile(name: str) -> None:
    check_pods(overlay(name))
    (namespace,) = of_kind(overlay(name), "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("component", ["package-configmap", "package-url", "package-volume"])
def test_so_do_pods_that_install_a_package(tmp_path: Path, component: str) -> None:
    check_pods(with_package(tmp_path, component))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("hostNetwork",), True),
        (("volumes", 0), {"name": "data", "hostPath": {"path": "/"}}),
        (("securityContext", "runAsNonRoot"), False),
        (("securityContext", "seccompProfile"), {"type": "Unconfined"}),
        (("containers", 0, "securityContext", "privileged"), True),
        (("containers", 0, "securityContext", "allowPrivilegeEscalation"), True),
        (("containers", 0, "securityContext", "capabilities"), {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        (("containers", 0, "ports", 0), {"containerPort": 8080, "hostPort": 80}),
    ],
)
def test_the_check_finds_what_is_wrong(path: tuple[str | int, ...], value: object) -> None:
    import copy  # noqa: PLC0415 - this test alone changes what the others share

    template = copy.deepcopy(deployments(overlay("default"))["simulator"])
    place = template["spec"]
    *way, last = path
    for step in way:
        place = place[step]
    place[last] = value
    assert list(violations(template))


@pytest.mark.parametrize("name", OVERLAYS)
def test_only_the_controller_has_a_token_of_the_api(name: str) -> None:
    for component, template in deployments(overlay(name)).items():
        mine = component == "controller"
        assert template["spec"]["automountServiceAccountToken"] is mine
        assert ("serviceAccountName" in template["spec"]) is mine


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_controller_has_rights_in_its_namespace_alone_and_none_by_wildcard(name: str) -> None:
    assert of_kind(overlay(name), "ClusterRole", "ClusterRoleBinding") == []
    (role,) = of_kind(overlay(name), "Role")
    for rule in role["rules"]:
        words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert not any("*" in word for word in words), rule
        assert "deletecollection" not in rule["verbs"]
        if "pods" in rule["resources"]:
            assert not {"create", "delete", "update"} & set(rule["verbs"])
        if "secrets" in rule["resources"] and set(rule["verbs"]) != {"create"}:
            assert rule["resourceNames"] == ["pairsim"]
        if "leases" in rule["resources"] and set(rule["verbs"]) != {"create"}:
            assert rule["resourceNames"] == ["pairsim-controller"]
    pairs = [(g, r, tuple(rule.get("resourceNames", ()))) for rule in role["rules"]
             for g in rule["apiGroups"] for r in rule["resources"]]  # fmt: skip
    assert len(pairs) == len(set(pairs))


# --- the network

_PEOPLE = {
    "client": ({"pairsim.io/client": "true"}, {}),
    "client namespace": ({}, {"pairsim.io/client": "true"}),
    "stranger": ({"app": "x"}, {}),
}


def admits(
    policies: list[Object], direction: str, pod: dict[str, str], other: tuple[Object, Object], port: str
) -> bool:
    """Whether the policies let `pod` talk with `other` (its labels, and those of its namespace if it is not here)."""
    peers, ports = ("from", "ingress") if direction == "Ingress" else ("to", "egress"), []
    labels, namespace = other
    mine = [p["spec"] for p in policies if selects(p["spec"]["podSelector"], pod)]
    mine = [spec for spec in mine if direction in spec["policyTypes"]]
    if not mine:
        return True
    for rule in (rule for spec in mine for rule in spec.get(peers[1], [])):
        ports = [p["port"] for p in rule["ports"]]
        who = rule.get(peers[0])
        known = who is None or any(_is(peer, labels, namespace) for peer in who)
        if port in ports and known:
            return True
    return False


def _is(peer: Object, labels: Object, namespace: Object | None) -> bool:
    here = namespace is None if "namespaceSelector" not in peer else selects(peer["namespaceSelector"], namespace or {})
    return here and selects(peer.get("podSelector", {}), labels)


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_network_lets_through_what_is_needed_and_nothing_else(name: str) -> None:
    objects = overlay(name)
    policies = of_kind(objects, "NetworkPolicy")
    pods = {component: template["metadata"]["labels"] for component, template in deployments(objects).items()}
    needed = {
        ("simulator", "simulator", "peer"), ("simulator", "witness", "peer"), ("witness", "simulator", "peer"),
        ("simulator", "simulator", "http"), ("controller", "simulator", "http"), ("controller", "witness", "http"),
    }  # fmt: skip
    ways = list(itertools.product(pods, pods, ("http", "peer")))
    # Each end on its own: one of them being strict must not hide that the other is not.
    out = {(a, b, port) for a, b, port in ways if admits(policies, "Egress", pods[a], (pods[b], None), port)}
    into = {(a, b, port) for a, b, port in ways if admits(policies, "Ingress", pods[b], (pods[a], None), port)}
    assert out == needed
    assert into == needed
    come_in = {
        (who, target, port)
        for who, (labels, namespace) in _PEOPLE.items()
        for target, theirs in pods.items()
        for port in ("http", "peer")
        if admits(policies, "Ingress", theirs, (labels, namespace), port)
    }
    assert come_in == {(who, target, "http") for who in ("client", "client namespace") for target in pods}


def test_the_controller_reaches_api_servers_at_the_ports_that_they_have() -> None:
    """The Service's, kubeadm's, minikube's and MicroK8s's; docs/kubernetes.md names the place for another one."""
    policies = {p["metadata"]["name"]: p["spec"] for p in of_kind(overlay("default"), "NetworkPolicy")}
    rule = policies["pairsim-controller"]["egress"][1]
    assert "to" not in rule
    assert {(p["protocol"], p["port"]) for p in rule["ports"]} == {("TCP", port) for port in (443, 6443, 8443, 16443)}
    assert "/spec/egress/1/ports/-" in (ROOT / "docs" / "kubernetes.md").read_text()


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_no_policy_names_is_refused(name: str) -> None:
    (deny,) = (p["spec"] for p in of_kind(overlay(name), "NetworkPolicy") if p["metadata"]["name"] == "pairsim-deny")
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in deny
    assert "egress" not in deny
    assert all(selects(deny["podSelector"], t["metadata"]["labels"]) for t in deployments(overlay(name)).values())
