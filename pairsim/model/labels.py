"""The names of the contract with a cluster: API group, labels, annotations, finalizers and their values.

Manifests, dashboards and users' own selectors rely on them, so a name must never change.
"""

from __future__ import annotations

API_GROUP = "pairsim.io"
API_VERSION = f"{API_GROUP}/v1alpha1"

PLANE_LABEL = f"{API_GROUP}/plane"
AREA_LABEL = f"{API_GROUP}/area"
ROLE_LABEL = f"{API_GROUP}/role"

NAME_LABEL = "app.kubernetes.io/name"
PART_OF_LABEL = "app.kubernetes.io/part-of"
COMPONENT_LABEL = "app.kubernetes.io/component"
APP_NAME = "pairsim"
"""The value of the labels `app.kubernetes.io/name` and `app.kubernetes.io/part-of`."""

SIMULATOR_COMPONENT, WITNESS_COMPONENT, CONTROLLER_COMPONENT = "simulator", "witness", "controller"
"""The values of the label `app.kubernetes.io/component`."""

TERM_ANNOTATION = f"{API_GROUP}/term"
PAUSED_ANNOTATION = f"{API_GROUP}/paused"
BACKUP_ANNOTATION = f"{API_GROUP}/backup"
BACKUP_SKIP = "skip"
"""The value of the annotation `pairsim.io/backup` by which a user gives up the state of a deleted area."""

CHAOS_RUN_ANNOTATION = f"{API_GROUP}/run"
"""The annotation by which `pairsim-chaos` recognizes the Chaos Mesh objects that one of its runs created."""

RELEASE_FINALIZER = f"{API_GROUP}/release"

DELETION_COST_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
"""Kubernetes' annotation: a ReplicaSet that scales down deletes pods of lower cost first."""

FIELD_MANAGER = "pairsim-controller"
"""The name of the controller in managed fields, events and its Lease."""

SECRET_NAME = "pairsim"  # noqa: S105 - a name, not a secret
"""The name of the Secret with the keys of a world."""
