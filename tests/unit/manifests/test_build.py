"""Overlays, components and samples build, and their parts fit each other and the image."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from pairsim.cli import main
from pairsim.model.documents.world import load_world
from pairsim_chaos.cluster.force_delete import pod_records
from pairsim_chaos.cluster.progress import NODES
from pairsim_chaos.experiment.faults import IOFault
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.spec.schema import KINDS, plural
from tests.unit.manifests.rendered import (
    MANIFESTS,
    OVERLAYS,
    ROOT,
    Object,
    build,
    containers,
    deployments,
    of_kind,
    overlay,
    selects,
)

_CLUSTER = {"Namespace", "CustomResourceDefinition", "PriorityClass"}
_PACKAGES = {
    "package-configmap": "configMapGenerator: [{name: pairsim-package, files: [growth-1.0-py3-none-any.whl]}]",
    "package-url": "configMapGenerator: [{name: pairsim-package, literals: [url=https://example.org/g.whl, sha256=0]}]",
    "package-volume": "{}",
}


def with_package(tmp_path: Path, component: str) -> list[Object]:
    """The default overlay with a component, as a user writes it."""
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    mine = tmp_path / "manifests/overlays/mine"
    mine.mkdir()
    (mine / "growth-1.0-py3-none-any.whl").write_bytes(b"PK\x03\x04\xff\xfe")
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "garden",
        "resources": ["../default"],
        "components": [f"../../components/{component}"],
        **yaml.safe_load(_PACKAGES.get(component, "{}")),
    }
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return build(mine)


@pytest.mark.parametrize("path", sorted(MANIFESTS.rglob("*.yaml")), ids=lambda p: str(p.relative_to(MANIFESTS)))
def test_every_file_is_yaml_with_kinds(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    assert documents
    assert all({"apiVersion", "kind"} <= document.keys() for document in documents)


def test_every_file_is_used() -> None:
    for folder in (MANIFESTS / "base", MANIFESTS / "cluster"):
        listed = set(yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"])
        assert listed == {p.name for p in folder.glob("*.yaml")} - {"kustomization.yaml"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_all_of_an_overlay_is_in_one_namespace(name: str) -> None:
    objects = overlay(name)
    for o in objects:
        # kustomize takes admission policies for namespaced ones; the API server drops a namespace that has no place.
        if not o["kind"].startswith("ValidatingAdmissionPolicy"):
            assert o["metadata"].get("namespace") == (None if o["kind"] in _CLUSTER else "pairsim"), o["metadata"][
                "name"
            ]
        assert o["metadata"]["labels"].items() >= {
            ("app.kubernetes.io/name", "pairsim"), ("app.kubernetes.io/part-of", "pairsim"),
        }  # fmt: skip
    binding = of_kind(objects, "RoleBinding")[0]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "pairsim-controller", "namespace": "pairsim"}]
    names = [(o["kind"], o["metadata"]["name"]) for o in objects]
    assert len(names) == len(set(names))


def test_the_pool_has_an_autoscaler_or_a_number_never_both() -> None:
    default, small = overlay("default"), overlay("small")
    scaler = of_kind(default, "HorizontalPodAutoscaler")[0]["spec"]
    pool = next(o for o in of_kind(default, "Deployment") if o["metadata"]["name"] == scaler["scaleTargetRef"]["name"])
    assert "replicas" not in pool["spec"]
    # A pair for each of two areas, and a spare.
    assert scaler["minReplicas"] >= 5
    assert of_kind(small, "HorizontalPodAutoscaler") == []
    fixed = {o["metadata"]["name"]: o["spec"]["replicas"] for o in of_kind(small, "Deployment")}
    assert fixed == {"pairsim-simulator": 5, "pairsim-witness": 2, "pairsim-controller": 2}


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_selector_finds_pods_of_its_own_component_alone(name: str) -> None:
    objects = overlay(name)
    pods = {component: template["metadata"]["labels"] for component, template in deployments(objects).items()}
    assert pods.keys() == {"simulator", "witness", "controller"}

    def found(selector: Object) -> set[str]:
        return {component for component, labels in pods.items() if selects(selector, labels)}

    for o in of_kind(objects, "Deployment", "PodDisruptionBudget"):
        assert found(o["spec"]["selector"]) == {o["metadata"]["labels"]["app.kubernetes.io/component"]}
    for component, template in deployments(objects).items():
        spread = template["spec"]["topologySpreadConstraints"]
        # A constraint on a label that nodes may lack, as a zone's, makes the scheduler score none of them.
        assert {s["topologyKey"] for s in spread} == {"kubernetes.io/hostname"}
        assert all(s["matchLabelKeys"] == ["pod-template-hash"] for s in spread)
        anti = template["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        terms = [preference["podAffinityTerm"] for preference in anti]
        assert [term["topologyKey"] for term in terms] == ["topology.kubernetes.io/zone"]
        assert all(found(term["labelSelector"]) == {component} for term in terms)
        assert all(found(s["labelSelector"]) == {component} for s in spread)
        # With one node, everything must still run.
        assert all(s["whenUnsatisfiable"] == "ScheduleAnyway" for s in spread)


@pytest.mark.parametrize("name", OVERLAYS)
def test_names_and_ports_are_what_the_controller_relies_on(name: str) -> None:
    for component, template in deployments(overlay(name)).items():
        (container,) = template["spec"]["containers"]
        assert container["name"] == component
        ports = {p["name"]: p["containerPort"] for p in container["ports"]}
        assert ports == {"http": 8080} if component == "controller" else {"http": 8080, "peer": 7946}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            expected = "/readyz" if probe == "readinessProbe" else "/livez"
            assert container[probe]["httpGet"] == {"path": expected, "port": "http"}


@pytest.mark.parametrize("component", ["simulator", "witness"])
def test_a_process_gets_all_that_its_command_asks_for(component: str) -> None:
    template = deployments(overlay("default"))[component]
    (container,) = template["spec"]["containers"]
    assert container["command"] == ["pairsim", component]
    command = main.get_command(None, component)  # type: ignore[arg-type]
    assert command is not None
    given = {e["name"] for e in container["env"]}
    known = {str(p.envvar): p for p in command.params if getattr(p, "envvar", None)}
    assert {name for name in given if name.startswith("PAIRSIM_")} <= known.keys()
    assert {name for name, p in known.items() if p.required} <= given
    values = {e["name"]: e.get("value") for e in container["env"]}
    mounts = {m["mountPath"]: m for m in container["volumeMounts"]}
    volumes = {v["name"]: v for v in template["spec"]["volumes"]}
    assert "emptyDir" in volumes[mounts[values["PAIRSIM_DATA"]]["name"]]
    secret = volumes[mounts["/etc/pairsim"]["name"]]["secret"]
    assert secret["secretName"] == "pairsim"
    paths = {f"/etc/pairsim/{item['path']}": item["key"] for item in secret["items"]}
    assert paths == {values["PAIRSIM_SECRET_FILE"]: "secret", values["PAIRSIM_TOKEN_FILE"]: "token"}
    previous = volumes[mounts["/etc/pairsim-previous"]["name"]]["secret"]
    (item,) = previous["items"]
    assert previous["optional"], "the key is there only while the secret is being replaced"
    assert (item["key"], f"/etc/pairsim-previous/{item['path']}") == (
        "previous-secret",
        values["PAIRSIM_PREVIOUS_SECRET_FILE"],
    )
    assert not (secret["defaultMode"] | previous["defaultMode"]) & 0o007


@pytest.mark.parametrize("component", ["simulator", "witness"])
def test_a_process_that_hangs_is_not_asked_to_leave_for_long(component: str) -> None:
    """A probe's kill runs preStop as well, which such a process never lets end."""
    (container,) = deployments(overlay("default"))[component]["spec"]["containers"]
    assert "preStop" in container["lifecycle"]
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["terminationGracePeriodSeconds"] == 5


@pytest.mark.parametrize("component", ["simulator", "witness"])
def test_a_pod_has_the_time_that_leaving_takes(component: str) -> None:
    template = deployments(overlay("default"))[component]
    (container,) = template["spec"]["containers"]
    name, *arguments = container["lifecycle"]["preStop"]["exec"]["command"][1:]
    command = main.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    seconds = command.make_context(name, arguments).params["seconds"]
    # A last switchover by the command, and one more by the process itself, which then stops.
    assert seconds + 7 + 6 <= template["spec"]["terminationGracePeriodSeconds"]


def test_no_pod_is_taken_away_before_another_one_is_there() -> None:
    for o in of_kind(overlay("default"), "Deployment"):
        assert o["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@pytest.mark.parametrize("component", sorted(_PACKAGES))
def test_a_package_is_installed_before_the_simulator_starts(tmp_path: Path, component: str) -> None:
    objects = with_package(tmp_path, component)
    template = deployments(objects)["simulator"]
    (step,), (container,) = template["spec"]["initContainers"], template["spec"]["containers"]
    assert step["image"] == container["image"]
    command = main.get_command(None, step["command"][1])  # type: ignore[arg-type]
    assert command is not None
    for option in ("--from", "--to"):  # as the parser wants them to exist
        assert (option in step["command"]) == (option == "--to" or component != "package-url")
    assert {e["name"] for e in step.get("env", [])} <= {str(p.envvar) for p in command.params if hasattr(p, "envvar")}
    target = step["command"][step["command"].index("--to") + 1]
    assert {e["name"]: e.get("value") for e in container["env"]}["PYTHONPATH"] == target
    parent = str(Path(target).parent)
    mounted = [{m["mountPath"]: m for m in c["volumeMounts"]}[parent] for c in (step, container)]
    assert [m["name"] for m in mounted] == ["plugins", "plugins"]
    assert [m.get("readOnly", False) for m in mounted] == [False, True]
    volumes = {v["name"] for v in template["spec"]["volumes"]}
    assert all(m["name"] in volumes for c in containers(template) for m in c["volumeMounts"])
    # Witnesses hold no state and need no package.
    assert "initContainers" not in deployments(objects)["witness"]["spec"]


def test_experiments_come_with_a_verdict_in_the_worlds_image_and_with_rights_of_their_own(tmp_path: Path) -> None:
    objects = with_package(tmp_path, "chaos")
    (verdict,) = (o for o in of_kind(objects, "Deployment") if o["metadata"]["name"] == "pairsim-verdict")
    (container,) = verdict["spec"]["template"]["spec"]["containers"]
    assert container["image"] == next(iter(containers(deployments(objects)["simulator"])))["image"]
    assert {o["metadata"]["namespace"] for o in objects if "pairsim-chaos" in o["metadata"]["name"]} == {"garden"}
    (role,) = (o for o in of_kind(objects, "Role") if o["metadata"]["name"] == "pairsim-chaos")
    made = {resource for rule in role["rules"] if "create" in rule["verbs"] for resource in rule["resources"]}
    assert made == {plural(kind) for kind in KINDS} - {"statuschecks"}
    seen = {resource for rule in role["rules"] if "list" in rule["verbs"] for resource in rule["resources"]}
    assert seen >= {*made, NODES}
    assert not [rule for rule in role["rules"] if "patch" in rule["verbs"]]
    deleted = {resource for rule in role["rules"] if "delete" in rule["verbs"] for resource in rule["resources"]}
    assert deleted == {*made, *filter(None, map(pod_records, made))}


def test_a_volume_can_be_moved_beside_itself_where_experiments_are_made(tmp_path: Path) -> None:
    """As IOChaos does, before it puts its own file system in its place."""
    (io,) = load_experiments((ROOT / "chaos/experiments/io-fault-journal.yaml").read_text())
    assert isinstance(io.spec, IOFault)
    pod = deployments(with_package(tmp_path, "chaos"))["simulator"]["spec"]
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    around = mounts[str(Path(io.spec.volume_path).parent)]
    assert not around.get("readOnly")
    assert "emptyDir" in volumes[around["name"]]
    (plain,) = deployments(overlay("default"))["simulator"]["spec"]["containers"]
    assert container["securityContext"] == plain["securityContext"]
    assert mounts[io.spec.volume_path] in plain["volumeMounts"]
    assert around not in plain["volumeMounts"]


def test_the_controllers_keep_backups_in_a_claim_if_they_are_to(tmp_path: Path) -> None:
    objects = with_package(tmp_path, "backups")
    (claim,) = of_kind(objects, "PersistentVolumeClaim")
    pod = deployments(objects)["controller"]["spec"]
    (container,) = pod["containers"]
    assert "--backups=/backups" in container["command"]
    assert {"name": "backups", "mountPath": "/backups"} in container["volumeMounts"]
    volume = {"name": "backups", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
    assert volume in pod["volumes"]
    assert claim["metadata"]["namespace"] == "garden"
    plain = overlay("default")
    assert "backups" not in str(deployments(plain)["controller"])


@pytest.mark.parametrize("component", ["package-configmap", "package-url"])
def test_a_changed_package_rolls_the_pool(tmp_path: Path, component: str) -> None:
    objects = with_package(tmp_path, component)
    (config,) = of_kind(objects, "ConfigMap")
    assert re.fullmatch(r"pairsim-package-\w+", config["metadata"]["name"])
    assert config["metadata"]["name"] in str(deployments(objects)["simulator"])


def test_samples_are_worlds() -> None:
    assert {p.name for p in (MANIFESTS / "samples").iterdir()} == {"one-area.yaml", "two-areas.yaml"}
    for path in (MANIFESTS / "samples").iterdir():
        world = load_world(path.read_text())
        assert {d.metadata.namespace for d in (*world.planes, *world.areas)} == {"pairsim"}


def test_the_sample_of_two_areas_is_the_example() -> None:
    sample = load_world((MANIFESTS / "samples/two-areas.yaml").read_text())
    assert sample.specs() == load_world((ROOT / "examples/two-areas.yaml").read_text()).specs()
