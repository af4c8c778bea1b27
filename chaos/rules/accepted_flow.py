"""Workflows and status checks that Chaos Mesh accepts, and that never end or never run.

Read off `pkg/workflow/controllers` and `controllers/statuscheck` of Chaos Mesh 2.8.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaos.fields import Body, Field, Rule, Slip, shown

_WORKFLOW = ("Workflow",)


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


def endless_check(body: Body) -> Iterator[Slip]:
    """A continuous check ends by itself only when it fails."""
    mode, length = body.spec.at("mode"), body.spec.at("duration")
    inside = body.within == "template"
    if mode.text != "Continuous" or length.there or (inside and body.host.at("deadline").there):
        return
    name = "deadline" if inside else "duration"
    yield Slip(mode, "a continuous check that never fails never ends", f"write {name}: 5m, or mode: Synchronous")


def code_range(body: Body) -> Iterator[Slip]:
    """A range that holds no code is never met."""
    code = body.spec.at("http", "criteria", "statusCode")
    first, dash, last = code.text.partition("-")
    if dash and first.isdecimal() and last.isdecimal() and len(first) == len(last) and first > last:
        yield Slip(code, f"{shown(code.text)} holds no code", f'write it upwards: "{last[:9]}-{first[:9]}"')


RULES = (
    Rule("cycle", _WORKFLOW, "no template leads back to itself", cycle),
    Rule("never-run", _WORKFLOW, "every template is reached from `entry`", never_run),
    Rule("branch", _WORKFLOW, "`conditionalBranches` lead to templates", branches),
    Rule(
        "endless-check",
        ("StatusCheck",),
        "a `Continuous` check has a `duration`, or its template a `deadline`",
        endless_check,
    ),
    Rule("code-range", ("StatusCheck",), "a range of status codes goes upwards", code_range),
)
