from __future__ import annotations

from pathlib import Path

import pytest

from pairsim_controller.kube.api.connection import (
    ApiBusyError,
    ApiRefusedError,
    ApiUnreachableError,
    ConflictError,
    Connection,
    ExpiredError,
    ObjectGoneError,
    classify,
)
from pairsim_controller.kube.api.events import EventRecorder
from pairsim_controller.kube.api.port import AREAS, PODS, ApiError, ChangedError
from pairsim_controller.kube.api.writes import KubeApi, path_of
from tests.unit.controller.kube.fake_api import FakeApi, connected

AREA_PATH = "/apis/pairsim.io/v1alpha1/namespaces/worlds/areas"


def api_of(connection: Connection) -> KubeApi:
    return KubeApi(connection, connection.namespace, EventRecorder(connection, connection.namespace, "me"))


def test_paths() -> None:
    assert path_of(PODS, "ns", "p") == "/api/v1/namespaces/ns/pods/p"
    assert path_of(AREAS, "worlds", "west", "status") == f"{AREA_PATH}/west/status"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ApiRefusedError),
        (403, ApiRefusedError),
        (404, ObjectGoneError),
        (409, ConflictError),
        (410, ExpiredError),
        (422, ApiRefusedError),
        (429, ApiBusyError),
        (500, ApiUnreachableError),
        (503, ApiUnreachableError),
    ],
)
def test_each_status_has_an_error_class(status: int, kind: type[ApiError]) -> None:
    assert type(classify(status, "why", None)) is kind


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), (None, 1.0), ("soon", 1.0), ("100000", 30.0)])
def test_retry_after_is_bounded(header: str | None, seconds: float) -> None:
    error = classify(429, "why", header)
    assert isinstance(error, ApiBusyError)
    assert error.retry_after == seconds


async def test_an_apply_names_its_field_manager_and_its_version(tmp_path: Path) -> None:
    fake = FakeApi()
    async with connected(fake, tmp_path) as connection:
        api = api_of(connection)
        made = await api.apply(AREAS, {"metadata": {"name": "west"}, "spec": {"plane": "p"}})
        assert made["spec"] == {"plane": "p"}
        assert fake.requests == [
            ("PATCH", f"{AREA_PATH}/west", {"fieldManager": "pairsim-controller", "force": "true"})
        ]
        version = fake.objects[AREA_PATH]["west"]["metadata"]["resourceVersion"]
        await api.apply(AREAS, {"metadata": {"name": "west", "resourceVersion": version}, "spec": {}})
        with pytest.raises(ChangedError, match="was changed"):
            await api.apply(AREAS, {"metadata": {"name": "west", "resourceVersion": version}, "spec": {}})


async def test_missing_objects(tmp_path: Path) -> None:
    fake = FakeApi()
    async with connected(fake, tmp_path) as connection:
        api = api_of(connection)
        assert await api.get(AREAS, "west") is None
        await api.delete(AREAS, "west")
        with pytest.raises(ChangedError):
            await api.replace(AREAS, {"metadata": {"name": "west"}})


async def test_creating_an_existing_object_fails(tmp_path: Path) -> None:
    async with connected(FakeApi(), tmp_path) as connection:
        api = api_of(connection)
        await api.create(AREAS, {"metadata": {"name": "west"}})
        with pytest.raises(ChangedError):
            await api.create(AREAS, {"metadata": {"name": "west"}})


async def test_a_server_that_hangs_is_unreachable(tmp_path: Path) -> None:
    fake = FakeApi()
    async with connected(fake, tmp_path) as connection:
        fake.hung = True
        with pytest.raises(ApiUnreachableError, match="GET /api"):
            await connection.request("GET", "/api/v1/x", seconds=0.2)


async def test_a_stopped_server_is_unreachable(tmp_path: Path) -> None:
    async with connected(FakeApi(), tmp_path) as connection:
        pass
    again = await Connection.open(tmp_path / "kubeconfig")
    try:
        with pytest.raises(ApiUnreachableError):
            await again.request("GET", "/api/v1/x")
    finally:
        await again.close()
    assert connection.namespace == again.namespace == "worlds"


async def test_missing_credentials_are_reported_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="nowhere"):
        await Connection.open(tmp_path / "nowhere")
    with pytest.raises(ApiError, match="give --kubeconfig"):
        await Connection.open(None)
