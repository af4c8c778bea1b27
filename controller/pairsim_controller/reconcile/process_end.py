"""How a process ended, as its backend and the end of its log say it. Pure."""

from __future__ import annotations

_MAX_SHOWN_CHARACTERS = 800


def exit_reason(code: int, log: str) -> str:
    """Returns a predicate such as "ended with exit code 70 (the simulator ... raised ...)".

    Args:
        code: The exit code.
        log: The end of the log, or another explanation.
    """
    line = last_sentence(log) if code else ""
    return f"ended with exit code {code}{f' ({line})' if line else ''}"


def last_sentence(log: str) -> str:
    """Returns the last line of a log if it is a sentence; a structured line begins with its timestamp."""
    lines = log.strip().splitlines()
    line = lines[-1].strip() if lines else ""
    return "" if line.startswith("timestamp=") else line[:_MAX_SHOWN_CHARACTERS]
