"""Rules for workflows and status checks that Chaos Mesh accepts although they never end or never run.

Source: `pkg/workflow/controllers` and `controllers/statuscheck` of Chaos Mesh 2.8.
"""

from __future__ import annotations

from collections.abc import Iterator

from pairsim_chaos.lint.rule import Problem, Rule
from pairsim_chaos.lint.webhook import DURATION_SUGGESTION
from pairsim_chaos.spec.embedded_specs import EmbeddedSpec
from pairsim_chaos.spec.field_path import Field, quote
from pairsim_chaos.spec.quantities import parse_duration, parse_status_codes
from pairsim_chaos.spec.schema import FAULTS

_WORKFLOW = ("Workflow",)
_STATUSES = (100, 599)


def _graph(found: EmbeddedSpec) -> dict[str, list[Field]]:
    """Returns the templates that each template leads to."""
    graph: dict[str, list[Field]] = {}
    for template in found.spec.at("templates").items:
        branches = [branch.at("target") for branch in template.at("conditionalBranches").items]
        graph.setdefault(template.at("name").text, [*template.at("children").items, *branches])
    return graph


def cycle(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks for cycles: a template that leads back to itself starts over again and again."""
    graph = _graph(found)
    done: set[str] = set()
    for start in graph:
        if start in done:
            continue
        trail, open_ends = [start], [iter(graph[start])]
        on_trail = {start}
        while open_ends:
            step = next(open_ends[-1], None)
            if step is None:
                open_ends.pop()
                left = trail.pop()
                on_trail.discard(left)
                done.add(left)
            elif step.text in on_trail:
                yield Problem(step, f"{quote(step.text)} leads back to itself and never ends", "remove this reference")
            elif step.text in graph and step.text not in done:
                trail.append(step.text)
                on_trail.add(step.text)
                open_ends.append(iter(graph[step.text]))


def never_run(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that every template can be reached from the entry."""
    graph, entry = _graph(found), found.spec.at("entry").text
    if entry not in graph:
        return
    reached, todo = {entry}, [entry]
    while todo:
        for step in graph.get(todo.pop(), []):
            if step.text not in reached:
                reached.add(step.text)
                todo.append(step.text)
    for template in found.spec.at("templates").items:
        name = template.at("name")
        if name.text and name.text not in reached:
            yield Problem(
                name,
                f"template {quote(name.text)} never runs because no template leads to it",
                "add it to the children of a template",
            )


def branches(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that branches of a task lead to templates; the webhook checks only children."""
    graph = _graph(found)
    for template in found.spec.at("templates").items:
        for branch in template.at("conditionalBranches").items:
            target = branch.at("target")
            if target.is_text and target.text not in graph:
                yield Problem(target, f"template {quote(target.text)} does not exist", "write the name of a template")


def template_end(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that faults end.

    In a workflow, a fault ends only at the deadline of its template or of a template around it; so does a kill.
    """
    templates = {template.at("name").text: template for template in found.spec.at("templates").items}
    graph, entry = _graph(found), found.spec.at("entry").text
    reached, todo = {entry}, [entry]
    while todo:
        template = templates.get(todo.pop())
        if template is None or template.at("deadline").exists:
            continue
        if template.at("templateType").text in (*FAULTS, "Schedule") or _endless(template.at("statusCheck")):
            yield Problem(template.at("deadline"), "the template never ends without a deadline", "write deadline: 30s")
        for step in graph.get(template.at("name").text, []):
            if step.text not in reached:
                reached.add(step.text)
                todo.append(step.text)


def deadlines(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that Go can parse the deadlines of templates.

    The webhook does not parse them; later, Chaos Mesh creates no node for a template whose deadline cannot be parsed
    (`renderNodesByTemplates` in `new_node.go`). Only for a `Suspend`, the webhook rejects an empty deadline itself.
    """
    for template in found.spec.at("templates").items:
        field = template.at("deadline")
        empty = field.value == "" and template.at("templateType").text != "Suspend"
        if empty or (field.text and parse_duration(field.text) is None):
            yield Problem(
                field, f"{quote(field.text)} is not a duration, and the workflow stops there", DURATION_SUGGESTION
            )


def _endless(check: Field) -> bool:
    return check.at("mode").text == "Continuous" and not check.at("duration").exists


def endless_check(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that a continuous check has a duration; without one, it ends only when it fails."""
    if found.within == "document" and _endless(found.spec):
        yield Problem(found.spec.at("duration"), "a check that never fails never ends", "write duration: 5m")


def abort_annotation(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that a workflow that a check may abort has an annotation.

    Chaos Mesh aborts a workflow by adding an annotation to the existing ones, and panics if the workflow has none
    (`abortWorkflow` in `abort_node_reconciler.go`). A `Schedule` creates workflows without annotations.
    """
    for template in found.spec.at("templates").items:
        abort = template.at("abortWithStatusCheck")
        if abort.value is not True:
            continue
        if found.within == "schedule":
            wrong = "Chaos Mesh cannot abort a workflow of a Schedule because it has no annotations"
            yield Problem(abort, wrong, "remove the field, or write the Workflow as a separate document")
        elif not found.parent.at("metadata", "annotations").value:
            annotations = found.parent.at("metadata", "annotations")
            yield Problem(annotations, "Chaos Mesh cannot abort a workflow without annotations", "write any annotation")
            return


def code_range(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that an answer can match the status codes: the range is not empty, and HTTP uses its codes."""
    code = found.spec.at("http", "criteria", "statusCode")
    first, last = parse_status_codes(code.text) or _STATUSES
    if first > last:
        yield Problem(code, f"{quote(code.text)} is an empty range", f'write the lower code first: "{last}-{first}"')
    elif last < _STATUSES[0] or first > _STATUSES[1]:
        yield Problem(code, f"{quote(code.text)} is not an HTTP status", 'write a code from 100 to 599: "200"')


RULES = (
    Rule("cycle", _WORKFLOW, "a template must not lead back to itself", cycle),
    Rule("never-run", _WORKFLOW, "every template must be reachable from `entry`", never_run),
    Rule(
        "template-end",
        _WORKFLOW,
        "a fault, a `Schedule` and a `Continuous` check need a `deadline` of their own or around them",
        template_end,
    ),
    Rule("deadline", _WORKFLOW, "deadlines of templates must be durations that Go can parse", deadlines),
    Rule("branch", _WORKFLOW, "`conditionalBranches` must lead to templates", branches),
    Rule(
        "endless-check",
        ("StatusCheck",),
        "a `Continuous` check needs a `duration`",
        endless_check,
    ),
    Rule(
        "abort-annotation",
        _WORKFLOW,
        "a `Workflow` with `abortWithStatusCheck` needs an annotation; Chaos Mesh cannot abort it otherwise",
        abort_annotation,
    ),
    Rule(
        "code-range",
        ("StatusCheck",),
        "a range of status codes must have its lower code first, and hold a code from 100 to 599",
        code_range,
    ),
)
