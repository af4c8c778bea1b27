"""For any input the linter returns findings or raises one known error, and a file without findings is an experiment."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from pairsim.model.documents.yaml import YamlError
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.lint.ineffective import CLOCKS
from pairsim_chaos.lint.lint import lint
from pairsim_chaos.spec.schema import API_VERSION, FAULTS, KINDS, spec_schema

SHIPPED = [
    yaml.safe_load(path.read_text())
    for path in sorted((Path(__file__).parents[4] / "chaos" / "experiments").glob("*.yaml"))
]


def _names(schema: object) -> set[str]:
    """Returns all names of fields in a schema."""
    found: set[str] = set()
    if isinstance(schema, dict):
        properties = schema.get("properties")
        found |= set(properties) if isinstance(properties, dict) else set()
        found |= {name for each in schema.values() for name in _names(each)}
    return found


FIELDS = [
    *sorted({name for kind in (*FAULTS, "StatusCheck") for name in _names(spec_schema(kind))}),
    *("apiVersion", "kind", "metadata", "spec", "templates", "children", "entry", "schedule", "type", "templateType"),
    *("podChaos", "networkChaos", "ioChaos", "timeChaos", "stressChaos", "statusCheck", "workflow", "deadline"),
]
WORDS = [
    *(
        API_VERSION,
        *KINDS,
        *CLOCKS,
        "pod-kill",
        "partition",
        "netem",
        "delay",
        "fault",
        "latency",
        "one",
        "all",
        "fixed",
    ),
    *(
        "from",
        "both",
        "1m30s",
        "-1s",
        "50%",
        "200-",
        "@every 1s",
        "* * * * *",
        "Serial",
        "pairsim.io/role",
        "active",
        "",
    ),
]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(WORDS)
keys = st.sampled_from(FIELDS) | st.text(max_size=4)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=25
)


def _check(text: str) -> None:
    """Checks that the linter raises `YamlError` at most."""
    with contextlib.suppress(YamlError):
        findings = lint(text)
        last = text.count("\n") + 2
        for finding in findings:
            assert 1 <= finding.line <= last
            assert "\n" not in finding.wrong + finding.suggestion + finding.field
        if not findings:
            assert load_experiments(text)


@given(st.text())
def test_any_text_is_handled(text: str) -> None:
    _check(text)


@given(st.text(alphabet="ab:-[]{},*&!?|>#'\"%@ \n\t<=0~"))
def test_any_text_of_yaml_characters_is_handled(text: str) -> None:
    _check(text)


@given(st.lists(values, max_size=3))
def test_any_values_are_handled(documents: list[object]) -> None:
    _check(yaml.safe_dump_all(documents, allow_unicode=True))


@given(st.sampled_from(KINDS), st.dictionaries(keys, values, max_size=8))
def test_any_spec_of_a_kind_is_handled(kind: str, spec: dict[str, object]) -> None:
    _check(yaml.safe_dump({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "it"}, "spec": spec}))


def _paths(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for name, each in inner for found in _paths(each, (*path, name)))]


@given(st.data())
def test_a_shipped_experiment_with_one_changed_field_is_handled(data: st.DataObject) -> None:
    document = copy.deepcopy(data.draw(st.sampled_from(SHIPPED)))
    *above, last = data.draw(st.sampled_from(_paths(document)[1:]))
    holder = document
    for name in above:
        holder = holder[name]
    if isinstance(holder, dict) and data.draw(st.booleans()):
        del holder[last]
    else:
        holder[last] = data.draw(values)
    _check(yaml.safe_dump(document))


@given(st.lists(st.sampled_from(SHIPPED) | values, max_size=3))
def test_any_list_is_handled(items: list[object]) -> None:
    _check(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items}))
