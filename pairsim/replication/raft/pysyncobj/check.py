"""The pysyncobj that `raft.py` was written for: its version, and the names that it calls private and we use."""

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
    """The installed pysyncobj is not the one that `raft.py` was written for."""


def check_library(version: str, core: object, base: type) -> None:
    """Refuses another pysyncobj; `core` is an instance of a class that replaces some of the methods of `base`.

    Raises:
        UnsupportedLibraryError: The version or a private name differs.
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
