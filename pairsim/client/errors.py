"""The errors of the client, one class for each thing that its user can do about an error."""

from __future__ import annotations

from collections.abc import Sequence

from pairsim.model.commands import Result


class ClientError(Exception):
    """Base of all errors of the client; the text is a sentence.

    Attributes:
        answered: The results of those commands of a call to several areas that have one.
    """

    answered: tuple[Result, ...] = ()


class CommandsRefused(ClientError):  # noqa: N818 - it names what happened
    """The batch can never be valid in this area, and nothing of it was applied. Correct the commands."""


class Overloaded(ClientError):  # noqa: N818 - it names what happened
    """The area takes no more commands at the moment, and nothing of the batch was applied. Send it again later."""


class Unavailable(ClientError):  # noqa: N818 - it names what happened
    """No replica answered before the deadline. Try again.

    Attributes:
        unknown: Ids of commands that may have been applied all the same. Send the same commands with the same ids
            again: none is applied twice.
    """

    def __init__(self, sentence: str, unknown: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.unknown = tuple(unknown)


class RequestRefused(ClientError):  # noqa: N818 - it names what happened
    """The server refuses this request, and would refuse it again. Correct the request.

    Attributes:
        status: The HTTP status of the answer.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
