"""What can go wrong for a client, one class per thing that it would do about it."""

from __future__ import annotations

from collections.abc import Sequence


class ClientError(Exception):
    """Base of all errors of the client; the text is a sentence."""


class CommandsRefused(ClientError):  # noqa: N818 - what happened, not that it is an error
    """A batch can never be valid in this area; nothing of it was applied."""


class Overloaded(ClientError):  # noqa: N818 - the same
    """The area takes no more commands at the moment; nothing of the batch was applied. Try again later."""


class Unavailable(ClientError):  # noqa: N818 - the same
    """No replica answered before the deadline.

    Attributes:
        unknown: Ids of commands that may have been applied all the same. Send the same commands with the same ids
            again: none is applied twice.
    """

    def __init__(self, sentence: str, unknown: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.unknown = tuple(unknown)


class RequestRefused(ClientError):  # noqa: N818 - the same
    """The server refuses this request, and would do so again.

    Attributes:
        status: HTTP's code.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
