from __future__ import annotations

import pytest

from pairsim.model.documents import DocumentError, load_world

PLANE = """
apiVersion: pairsim.io/v1alpha1
kind: Plane
metadata: {name: physics}
spec: {simulator: physics, tickRate: 30, seed: 5, bounds: {min: [0, 0, 0], max: [100, 10, 10]}, parameters: {radius: 1}}
"""
AREA = """
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {name: NAME, labels: {team: a}}
spec: {plane: physics, bounds: {min: [LOW, 0, 0], max: [HIGH, 10, 10]}, entities: 7}
"""


def area(name: str, low: int, high: int) -> str:
    return AREA.replace("NAME", name).replace("LOW", str(low)).replace("HIGH", str(high))


def test_documents_become_what_replicas_must_know() -> None:
    world = load_world("---".join([PLANE, area("west", 0, 50), area("east", 50, 100)]))
    west, east = world.specs()
    assert (west.area, west.simulator, west.tick_rate, west.seed, west.entities) == ("west", "physics", 30, 5, 7)
    assert west.parameters == {"radius": 1}
    assert east.bounds.min == (50, 0, 0)
    assert east.world.max == (100, 10, 10)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["at least one"]),
        ("a: [", ["no YAML"]),
        ("- 1", ["document 1", "mapping"]),
        (PLANE, ["at least one"]),
        (area("west", 0, 50), ["west", "physics", "not in the file"]),
        (PLANE + "---" + area("west", 0, 500), ["west", "beyond"]),
        (PLANE + "---" + area("west", 0, 60) + "---" + area("east", 50, 100), ["east", "overlap", "west"]),
        (PLANE + "---" + area("west", 0, 50) + "---" + area("west", 50, 100), ["west", "two of that name"]),
        (PLANE + "---" + area("West!", 0, 50), ["document 2", "metadata.name"]),
        (PLANE + "---" + area("west", 50, 0), ["document 2", "bounds"]),
        (PLANE + "---" + area("west", 0, 50).replace("entities: 7", "entitys: 7"), ["west", "entitys"]),
        (PLANE + "---" + area("west", 0, 50).replace("entities: 7", "entities: -7"), ["west", "entities"]),
        (PLANE.replace("v1alpha1", "v9"), ["apiVersion", "write pairsim.io/v1alpha1"]),
        (PLANE.replace("kind: Plane", "kind: Plain"), ["Plain", "Plane, Area"]),
        (PLANE.replace("tickRate: 30", "tickRate: 0"), ["physics", "tickRate"]),
        (PLANE + "---\n---" + area("West!", 0, 50), ["document 3"]),
        (PLANE.replace("seed: 5", "seed: 5, seed: 6"), ["'seed' is there twice"]),
        ("? [a]\n: 1", ["no YAML"]),
        ("[" * 5000, ["no YAML"]),
        ("x" * 5_000_000, ["limit"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, words: list[str]) -> None:
    with pytest.raises(DocumentError) as caught:
        load_world(text)
    for word in words:
        assert word in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(DocumentError) as caught:
        load_world(PLANE.replace("tickRate: 30", "tickRate: 0") + "---" + area("west", 50, 0))
    assert len(str(caught.value).splitlines()) >= 2


def test_a_plane_that_cannot_be_read_does_not_make_its_areas_look_wrong() -> None:
    with pytest.raises(DocumentError) as caught:
        load_world(PLANE.replace("tickRate: 30", "tickRate: 0") + "---" + area("west", 0, 50))
    assert str(caught.value).startswith("document 1: Plane physics")
    assert "west" not in str(caught.value)
