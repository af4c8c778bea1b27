"""The fakes of Chaos Mesh delete a fault that cannot be injected as the real one does: only without its pod records."""

from __future__ import annotations

import pytest

from tests.chaos_mesh_pipeline import ANNOTATION, FINALIZER, Object, passed, selected

POD = "pairsim/a"


def after_passes(fault: Object, records: frozenset[str], count: int) -> tuple[Object | None, frozenset[str]]:
    found: Object | None = fault
    for _ in range(count):
        if found is not None:
            found, records = passed(found, records)
    return found, records


@pytest.fixture
def failing() -> Object:
    found, records = after_passes({"metadata": {"name": "it"}, "status": selected(POD)}, frozenset(), 3)
    assert found is not None
    assert records == {POD}
    assert found["metadata"]["finalizers"] == [FINALIZER]
    return found


def deleted(fault: Object, **annotations: str) -> Object:
    meta = {**fault["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z", "annotations": annotations}
    return {**fault, "metadata": meta}


@pytest.mark.parametrize("annotations", [{}, {ANNOTATION: "forced"}])
def test_a_failing_fault_stays_after_its_deletion_whatever_its_annotation(
    failing: Object, annotations: dict[str, str]
) -> None:
    found, records = after_passes(deleted(failing, **annotations), frozenset({POD}), 5)
    assert found is not None
    assert records == {POD}


def test_a_deleted_fault_goes_in_the_pass_after_its_pod_records(failing: Object) -> None:
    assert passed(deleted(failing), frozenset()) == (None, frozenset())


def test_the_pod_record_of_a_fault_that_is_not_deleted_is_written_again(failing: Object) -> None:
    found, records = after_passes(failing, frozenset(), 2)
    assert found is not None
    assert records == {POD}
