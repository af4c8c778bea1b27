from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.area import AreaSpec, Detection
from pairsim.model.documents.world import DocumentError, load_world

PLANE = """
apiVersion: pairsim.io/v1alpha1
kind: Plane
metadata: {name: physics}
spec: {simulator: physics, tickRate: 30, seed: 5, bounds: {min: [0, 0, 0], max: [100, 10, 10]}, parameters: {radius: 1}}
"""
FIELDS = "simulator, bounds, tickRate, seed, parameters, areas, detection, warmEngines"
NO_NAME = "metadata.name is a name of small letters, digits, and dashes between them, 63 at the most"
AREA = """
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {name: NAME, labels: {team: a}}
spec: {plane: physics, bounds: {min: [LOW, 0, 0], max: [HIGH, 10, 10]}, entities: 7}
"""


def area(name: str, low: int, high: int) -> str:
    return AREA.replace("NAME", name).replace("LOW", str(low)).replace("HIGH", str(high))


def test_documents_become_the_specifications_of_areas() -> None:
    world = load_world("---".join([PLANE, area("west", 0, 50), area("east", 50, 100)]))
    west, east = world.specs()
    assert (west.area, west.simulator, west.tick_rate, west.seed, west.entities) == ("west", "physics", 30, 5, 7)
    assert west.parameters == {"radius": 1}
    assert east.bounds.min == (50, 0, 0)
    assert east.world.max == (100, 10, 10)


def test_how_soon_a_failure_is_detected_reaches_the_areas() -> None:
    (usual,) = load_world(PLANE + "---" + area("west", 0, 50)).specs()
    assert usual.detection is msgspec.UNSET
    assert b"detection" not in msgspec.json.encode(usual), "an older process refuses what it does not know"
    plane = PLANE.replace("seed: 5", "detection: {electionTimeoutMs: 400, hangSeconds: 7.5}")
    (other,) = load_world(plane + "---" + area("west", 0, 50)).specs()
    assert other.detection == Detection(election_timeout_ms=400, hang_seconds=7.5)
    assert other.hang_seconds == 7.5
    assert other.changed_fields(usual) == ["seed", "detection"]
    assert msgspec.json.decode(msgspec.json.encode(other), type=AreaSpec) == other


@pytest.mark.parametrize(("rate", "seconds"), [("0.5", 40), ("10", 2), ("60", 2)])
def test_a_call_may_last_two_seconds_or_twenty_ticks(rate: str, seconds: float) -> None:
    (spec,) = load_world(PLANE.replace("tickRate: 30", f"tickRate: {rate}") + "---" + area("west", 0, 50)).specs()
    assert spec.hang_seconds == seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["no document of kind Area"]),
        ("a: [", ["not valid YAML", "line 1"]),
        ("- 1", ["document 1", "mapping"]),
        (PLANE, ["no document of kind Area"]),
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
        (PLANE.replace("seed: 5", "seed: 5, seed: 6"), ["line 5", "'seed' is there twice"]),
        ("? [a]\n: 1", ["a key is a list"]),
        (PLANE.replace("seed: 5", "seed: 2026-13-45"), ["spec.seed is a whole number", "not '2026-13-45'"]),
        (PLANE.replace("seed: 5", "seed: !!int x"), ["spec.seed is a whole number", "not 'x'"]),
        (PLANE.replace("seed: 5", "seed: !!bool x"), ["spec.seed is a whole number", "not False"]),
        (PLANE.replace("seed: 5", "seed: !!timestamp x"), ["spec.seed is a whole number", "not 'x'"]),
        (PLANE.replace("seed: 5", "seed: " + "9" * 5000), ["spec.seed is a whole number"]),
        (PLANE.replace("seed: 5", "seed: 2026-01-01"), ["document 1", "physics", "spec.seed"]),
        (PLANE.replace("seed: 5", "seed: -1"), ["physics", "spec.seed"]),
        (PLANE.replace("tickRate: 30", "tickRate: .nan"), ["physics", "spec.tickRate"]),
        (PLANE.replace("[0, 0, 0]", "[0, 0]"), ["physics", "spec.bounds.min"]),
        (PLANE.replace("[0, 0, 0]", "[0, .nan, 0]"), ["physics", "spec.bounds", "finite"]),
        (PLANE.replace("radius: 1", "radius: .inf"), ["physics", "'radius'", "finite"]),
        (PLANE.replace("radius: 1", "radius: 9223372036854775808"), ["physics", "'radius'", "64 bits"]),
        (PLANE.replace("radius: 1", "radius: " + "9" * 400), ["physics", "'radius'", "64 bits"]),
        (PLANE.replace("radius: 1", "radius: [1]"), ["physics", "spec.parameters"]),
        (PLANE.replace("radius: 1", 'radius: "\\ud800"'), ["physics", "half of a character"]),
        (PLANE.replace("{name: physics}", "null"), ["Plane ?", "metadata"]),
        (PLANE.replace("kind: Plane", "kind: [Plane]"), ["['Plane']", "Plane, Area"]),
        (
            PLANE.replace("kind: Plane", "kind: !!python/name:os.system x"),
            ["the tag", "python", "leave it out", "line 3"],
        ),
        ("[" * 5000, ["nested too deeply"]),
        ("x" * 5_000_000, ["over 4096 KiB", "split it"]),
    ],
)
def test_a_mistake_is_reported_with_its_place(text: str, words: list[str]) -> None:
    with pytest.raises(DocumentError) as caught:
        load_world(text)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "sentences"),
    [
        (
            "tickRate",
            "tickrate",
            [f"spec has no 'tickrate': it takes {FIELDS}"],
        ),
        ("tickRate: 30", "tickRate: fast", ["spec.tickRate is a number above 0, 1,000 at the most, not 'fast'"]),
        (
            "seed: 5",
            "detection: {electionTimeoutMs: 50, hangSeconds: 601}",
            [
                "spec.detection.electionTimeoutMs is a whole number of at least 100, 5,000 at the most, not 50",
                "spec.detection.hangSeconds is a number of at least 0.5, 600 at the most, not 601",
            ],
        ),
        (
            "tickRate: 30, seed: 5",
            "tickRate: 0.5, detection: {hangSeconds: 3.5}",
            ["spec: detection.hangSeconds must be at least 2 ticks, which are 4 s at this tickRate, and is 3.5"],
        ),
        (
            "seed: 5",
            "warmEngines: maybe",
            ["spec.warmEngines is true or false, not 'maybe'"],
        ),
        (
            "tickRate: 30",
            "detection: {timeout: 5}",
            ["spec.detection has no 'timeout': it takes electionTimeoutMs, hangSeconds"],
        ),
        ("seed: 5", "seed: -5", ["spec.seed is a whole number of at least 0, 2**63 - 1 at the most, not -5"]),
        ("[0, 0, 0]", "[0, 0]", ["spec.bounds.min is a list of 3 numbers, not [0, 0]"]),
        ("[0, 0, 0]", "[0, .nan, 0]", ["spec.bounds: bounds must be finite numbers"]),
        ("{radius: 1}", "{radius: [1]}", ["spec.parameters.radius is a number, a text, true or false, not [1]"]),
        ("{radius: 1}", "7", ["spec.parameters is a mapping, not 7"]),
        ("simulator: physics, ", "", ["spec lacks simulator"]),
        ("simulator: physics", "simulator: 7", ["spec.simulator is a text, not 7"]),
        ("{name: physics}", "{name: physics, labels: {a: 1}}", ["metadata.labels.a is a text, not 1"]),
        (
            "{simulator: physics, tickRate: 30",
            "{simulater: physics, tickRate: 0",
            [
                f"spec has no 'simulater': it takes {FIELDS}",
                "spec lacks simulator",
                "spec.tickRate is a number above 0, 1,000 at the most, not 0",
            ],
        ),
    ],
)
def test_a_field_that_does_not_fit_is_reported_with_what_the_field_takes(
    before: str, after: str, sentences: list[str]
) -> None:
    assert before in PLANE
    with pytest.raises(DocumentError) as caught:
        load_world(PLANE.replace(before, after))
    assert str(caught.value).splitlines() == [f"document 1: Plane physics: {sentence}" for sentence in sentences]


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (
            "{name: physics}",
            "{name: Physics}",
            f"Plane Physics: {NO_NAME}, not 'Physics'",
        ),
        (
            "{name: physics}",
            "",
            "Plane ?: metadata is a mapping of name, namespace, labels, annotations, not nothing",
        ),
        ("metadata: {name: physics}", "", "Plane ?: the document lacks metadata"),
        (
            "{name: physics}",
            '{name: "two\\nlines"}',
            f"Plane ?: {NO_NAME}, not 'two\\nlines'",
        ),
    ],
)
def test_a_mistake_in_a_document_without_a_usable_name_is_reported(before: str, after: str, sentence: str) -> None:
    with pytest.raises(DocumentError) as caught:
        load_world(PLANE.replace(before, after))
    assert str(caught.value) == f"document 1: {sentence}"


def test_aliases_that_stand_for_gigabytes_end_in_one_line() -> None:
    doubled = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    for last in ("kind: *a59", "kind: Plane\napiVersion: *a59"):
        with pytest.raises(DocumentError) as caught:
            load_world(doubled + last)
        assert len(str(caught.value)) < 200


def test_parameters_may_have_the_values_at_their_limits() -> None:
    values = "{a: -9223372036854775808, b: 9223372036854775807, c: 1.0e+300, d: true, e: text}"
    (spec,) = load_world(PLANE.replace("{radius: 1}", values) + "---" + area("west", 0, 50)).specs()
    assert spec.parameters == {"a": -(2**63), "b": 2**63 - 1, "c": 1e300, "d": True, "e": "text"}
    assert spec.parameters["d"] is True


@given(st.text(max_size=60) | st.text("{}[]:-&*!|>'\"#%@,? \n\t01a.<=~", max_size=60), st.integers(0, len(PLANE)))
@settings(deadline=None)
def test_any_text_in_a_file_gives_a_world_or_a_sentence(typed: str, place: int) -> None:
    for text in (typed, PLANE[:place] + typed + PLANE[place:] + "---" + area("west", 0, 50)):
        with contextlib.suppress(DocumentError):
            assert load_world(text).specs()


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(DocumentError) as caught:
        load_world(PLANE.replace("tickRate: 30", "tickRate: 0") + "---" + area("west", 50, 0))
    assert len(str(caught.value).splitlines()) >= 2


def test_a_plane_that_cannot_be_read_does_not_make_its_areas_look_wrong() -> None:
    with pytest.raises(DocumentError) as caught:
        load_world(PLANE.replace("tickRate: 30", "tickRate: 0") + "---" + area("west", 0, 50))
    assert str(caught.value).startswith("document 1: Plane physics")
    assert "west" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: " + "1:" * 20_000 + "1", "kind must be one of Plane, Area"),
        ("---\n" * 20_001, "over 20000 documents"),
        (
            "m0: &m0 {k0: 1, j0: 2}\n"
            + "".join(f"m{i}: &m{i} {{<<: [{','.join([f'*m{i - 1}'] * 9)}]}}\n" for i in range(1, 9)),
            "over 400000 values",
        ),
    ],
    ids=["a number of numbers", "many documents", "merges of merges"],
)
def test_a_file_that_would_take_minutes_to_read_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(DocumentError, match=sentence):
        load_world(text)


def test_yaml_means_the_same_as_for_kubectl() -> None:
    text = PLANE.replace("{radius: 1}", "{a: 2026-01-01, b: 1:30, c: y, 7: 1}") + "---" + area("west", 0, 50)
    (spec,) = load_world(text).specs()
    assert spec.parameters == {"a": "2026-01-01", "b": "1:30", "c": True, "7": 1}


def test_a_merged_mapping_fills_in_missing_fields() -> None:
    merged = PLANE.replace(
        "spec: {simulator: physics,", "spec: {<<: {simulator: growth, areas: 2}, simulator: physics,"
    )
    world = load_world(merged)
    assert [spec.simulator for spec in world.specs()] == ["physics", "physics"]


def test_a_plane_can_say_how_many_areas_it_is_split_into() -> None:
    cut = PLANE.replace("seed: 5", "areas: 2, seed: 5")
    world = load_world(cut)
    assert [area.metadata.name for area in world.areas] == ["physics-0", "physics-1"]
    with pytest.raises(DocumentError, match="leave out `areas`, or the documents"):
        load_world(cut + "---" + area("west", 0, 50))
