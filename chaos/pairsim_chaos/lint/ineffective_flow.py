"""Workflows and status checks that Chaos Mesh accepts, and that never end or never run.

Read off `pkg/workflow/controllers` and `controllers/statuscheck` of Chaos Mesh 2.8.
"""

from __future__ import annotations

from collections.abc import Iterator

from pairsim_chaos.lint.webhook import DURATION
from pairsim_chaos.spec.field_path import Body, Field, Rule, Slip, shown
from pairsim_chaos.spec.quantities import seconds, status_codes
from pairsim_chaos.spec.schema import FAULTS

_WORKFLOW = ("Workflow",)
_STATUSES = (100, 599)


def _graph(body: Body) -> dict[str, list[Field]]:
    """Which templates each template leads to."""
    graph: dict[str, list[Field]] = {}
    for template in body.spec.at("templates").items:
        branches = [branch.at("target") for branch in template.at("conditionalBranches").items]
        graph.setdefault(template.at("name").text, [*template.at("children").items, *branches])
    return graph


def cycle(body: Body) -> Iterator[Slip]:
    """A template that leads back to itself starts over for ever."""
    graph = _graph(body)
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
                yield Slip(step, f"{shown(step.text)} leads back to itself and never ends", "leave it out")
            elif step.text in graph and step.text not in done:
                trail.append(step.text)
                on_trail.add(step.text)
                open_ends.append(iter(graph[step.text]))


def never_run(body: Body) -> Iterator[Slip]:
    """A template that nothing leads to."""
    graph, entry = _graph(body), body.spec.at("entry").text
    if entry not in graph:
        return
    reached, todo = {entry}, [entry]
    while todo:
        for step in graph.get(todo.pop(), []):
            if step.text not in reached:
                reached.add(step.text)
                todo.append(step.text)
    for template in body.spec.at("templates").items:
        name = template.at("name")
        if name.text and name.text not in reached:
            yield Slip(
                name, f"nothing leads to {shown(name.text)}, it never runs", "name it among the children of another"
            )


def branches(body: Body) -> Iterator[Slip]:
    """Branches of a task lead somewhere; the webhook looks at children alone."""
    graph = _graph(body)
    for template in body.spec.at("templates").items:
        for branch in template.at("conditionalBranches").items:
            target = branch.at("target")
            if target.is_text and target.text not in graph:
                yield Slip(target, f"there is no template {shown(target.text)}", "write the name of a template")


def template_end(body: Body) -> Iterator[Slip]:
    """A fault in a workflow, even a kill, is over at a deadline only: its template's or that of one around it."""
    templates = {template.at("name").text: template for template in body.spec.at("templates").items}
    graph, entry = _graph(body), body.spec.at("entry").text
    reached, todo = {entry}, [entry]
    while todo:
        template = templates.get(todo.pop())
        if template is None or template.at("deadline").there:
            continue
        if template.at("templateType").text in (*FAULTS, "Schedule") or _endless(template.at("statusCheck")):
            yield Slip(template.at("deadline"), "without a deadline it is never over", "write deadline: 30s")
        for step in graph.get(template.at("name").text, []):
            if step.text not in reached:
                reached.add(step.text)
                todo.append(step.text)


def deadlines(body: Body) -> Iterator[Slip]:
    """The webhook does not read a template's deadline; where it cannot be read later, no node is made.

    See `renderNodesByTemplates` in `new_node.go`. The webhook itself refuses a `Suspend` with an empty one.
    """
    for template in body.spec.at("templates").items:
        field = template.at("deadline")
        empty = field.value == "" and template.at("templateType").text != "Suspend"
        if empty or (field.text and seconds(field.text) is None):
            yield Slip(field, f"{shown(field.text)} is no duration, and the workflow stands still there", DURATION)


def _endless(check: Field) -> bool:
    return check.at("mode").text == "Continuous" and not check.at("duration").there


def endless_check(body: Body) -> Iterator[Slip]:
    """A continuous check ends by itself only when it fails."""
    if body.within == "document" and _endless(body.spec):
        yield Slip(body.spec.at("duration"), "a check that never fails is never over", "write duration: 5m")


def abort_annotation(body: Body) -> Iterator[Slip]:
    """Chaos Mesh aborts a workflow by an annotation beside those that are there; where there are none it panics.

    See `abortWorkflow` in `abort_node_reconciler.go`. A `Schedule` makes workflows without any.
    """
    for template in body.spec.at("templates").items:
        abort = template.at("abortWithStatusCheck")
        if abort.value is not True:
            continue
        if body.within == "schedule":
            wrong = "Chaos Mesh cannot abort a workflow that a Schedule made, which has no annotations"
            yield Slip(abort, wrong, "leave it out, or make the Workflow a document of its own")
        elif not body.host.at("metadata", "annotations").value:
            annotations = body.host.at("metadata", "annotations")
            yield Slip(annotations, "without any Chaos Mesh cannot abort the workflow", "write one, whatever it says")
            return


def code_range(body: Body) -> Iterator[Slip]:
    """A range that holds no code is never met, and neither is a number that no answer has."""
    code = body.spec.at("http", "criteria", "statusCode")
    first, last = status_codes(code.text) or _STATUSES
    if first > last:
        yield Slip(code, f"{shown(code.text)} holds no code", f'write it upwards: "{last}-{first}"')
    elif last < _STATUSES[0] or first > _STATUSES[1]:
        yield Slip(code, f"{shown(code.text)} is no HTTP status", 'write one of 100 to 599: "200"')


RULES = (
    Rule("cycle", _WORKFLOW, "no template leads back to itself", cycle),
    Rule("never-run", _WORKFLOW, "every template is reached from `entry`", never_run),
    Rule(
        "template-end",
        _WORKFLOW,
        "a fault, a `Schedule` and a `Continuous` check end at a `deadline`, their own or one around them",
        template_end,
    ),
    Rule("deadline", _WORKFLOW, "deadlines of templates are durations, as Go reads them", deadlines),
    Rule("branch", _WORKFLOW, "`conditionalBranches` lead to templates", branches),
    Rule(
        "endless-check",
        ("StatusCheck",),
        "a `Continuous` check has a `duration`",
        endless_check,
    ),
    Rule(
        "abort-annotation",
        _WORKFLOW,
        "a `Workflow` with `abortWithStatusCheck` has an annotation: without any Chaos Mesh cannot abort it",
        abort_annotation,
    ),
    Rule(
        "code-range",
        ("StatusCheck",),
        "a range of status codes goes upwards, and holds one of 100 to 599",
        code_range,
    ),
)
