"""The pysyncobj that this package was written for: its version, and its private names that this package uses."""

from __future__ import annotations

WRITTEN_FOR = "0.3.17"

_ATTRIBUTES = (
    "commandsQueue",
    "connectedNodes",
    "lastResponseTime",
    "needLoadDumpFile",
    "newAppendEntriesTime",
    "noopIDx",
    "otherNodes",
    "raftCommitIndex",
    "raftCurrentTerm",
    "raftElectionDeadline",
    "raftLastApplied",
    "raftLeader",
    "raftMatchIndex",
    "raftNextIndex",
    "raftState",
    "transferInProgress",
    "votedForNodeId",
)
_METHODS = (
    "doApplyCommand",
    "generateRaftTimeout",
    "onMessageReceived",
    "onNodeConnected",
    "onNodeDisconnected",
    "parseChangeClusterRequest",
    "sendAppendEntries",
    "sendNextNodeIdx",
    "setCurrentTerm",
)


class UnsupportedLibraryError(RuntimeError):
    """The installed pysyncobj is not the one that this package was written for."""


def check_library(version: str, core: object, base: type) -> None:
    """Refuses any other pysyncobj.

    Args:
        version: The version of the installed library.
        core: An instance of a class that overrides some methods of `base`.
        base: The library's own class.

    Raises:
        UnsupportedLibraryError: The version differs, or a private name is missing.
    """
    if version != WRITTEN_FOR:
        raise UnsupportedLibraryError(
            f"pairsim relies on internals of pysyncobj {WRITTEN_FOR}, found {version}:"
            f" install it with `pip install pysyncobj=={WRITTEN_FOR}`"
        )
    missing = [n for n in _ATTRIBUTES if f"_SyncObj__{n}" not in vars(core)]
    missing += [n for n in _METHODS if not callable(getattr(base, f"_SyncObj__{n}", None))]
    if missing:
        raise UnsupportedLibraryError(f"pysyncobj {version} lacks {', '.join(missing)}: reinstall it")
