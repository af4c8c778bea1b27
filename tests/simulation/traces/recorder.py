"""The lines of a trace: what a process did, and when.

A line that repeats the one before it of the same process joins that one: `{}` in its text stands for the names of its
targets, and a question that is asked again counts its rounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation.network import Clock


@dataclass
class Line:
    """One line; `targets` says how often each process was addressed."""

    when: float
    name: str
    text: str
    targets: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        rounds = max(self.targets.values(), default=1)
        text = self.text.format(", ".join(sorted(self.targets)))
        return f"{self.when:8.3f}s  {self.name:<6}  {text}{f' ({rounds} rounds)' if rounds > 1 else ''}"


class Recorder:
    """Collects lines in virtual time, which starts at the creation of the recorder."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._began = clock, clock.now
        self._lines: list[Line | str] = []
        self._last: dict[str, Line] = {}

    def add(self, name: str, text: str, *targets: str) -> None:
        """Adds what a process did, with respect to the targets."""
        last = self._last.get(name)
        if last is None or not targets or last.text != text:
            last = self._last[name] = Line(self._clock.now - self._began, name, text)
            self._lines.append(last)
        for target in targets:
            last.targets[target] = last.targets.get(target, 0) + 1

    def mark(self, command: str) -> None:
        """Adds what the story does to the processes."""
        self._last = {}
        self._lines.append(f"{self._clock.now - self._began:8.3f}s  -- {command}")

    def note(self, text: str) -> None:
        """Adds a summary."""
        self._lines.append(f"{self._clock.now - self._began:8.3f}s  {'':<6}  ({text})")

    def table(self, row: str) -> None:
        """Adds a line without a time."""
        self._lines.append(f"  {row}")

    def clear(self) -> None:
        """Forgets the lines since the last `take`."""
        self._lines, self._last = [], {}

    def take(self) -> tuple[str, ...]:
        """Returns the lines since the last call."""
        lines, self._lines, self._last = self._lines, [], {}
        return tuple(str(line).rstrip() for line in lines)
