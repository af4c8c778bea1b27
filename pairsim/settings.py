"""What a process is told at its start, by command line or environment; validated once, then passed on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from pairsim.model.names import Address, Name

MIN_SECRET_BYTES = 16


class Timing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Raft's clockwork, in seconds. The defaults suit one rack; all members of an area need the same.

    Attributes:
        heartbeat: How often a leader speaks when it has nothing to say.
        election_min, election_max: A replica that hears nothing for that long asks for votes; the witness waits
            `witness_factor` times as long.
        ping: How often members keep their links warm.
        connect_timeout: A connection attempt and its handshake take at most this.
        retry: Pause before the next connection attempt.
    """

    heartbeat: float = 0.03
    election_min: float = 0.15
    election_max: float = 0.255
    witness_factor: float = 6.0
    ping: float = 0.2
    connect_timeout: float = 0.5
    retry: float = 0.1

    def __post_init__(self) -> None:
        if not self.election_max > self.election_min > 3 * self.heartbeat > 0:
            raise ValueError("timing needs 3 * heartbeat < election_min < election_max")


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A simulator or witness process.

    Attributes:
        name: Unique in the world; a pod's name on Kubernetes.
        http: Where the HTTP API listens, host:port.
        peer: Where Raft and the state stream listen, host:port.
        advertise_http, advertise_peer: The same as others reach it; empty means as it listens.
        data: Folder for journal, checkpoints and the assignment; one process at a time.
        secret: Shared by all members of the world; keys of the peer port are derived from it.
        token: Bearer token of the control paths.
        checkpoint_seconds: How often a replica writes its state to disk.
        inbox_commands: Commands that may wait for a tick before new ones are refused.
    """

    name: Name
    http: Address
    peer: Address
    data: Path
    secret: bytes
    token: str
    advertise_http: str = ""
    advertise_peer: str = ""
    checkpoint_seconds: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    inbox_commands: Annotated[int, msgspec.Meta(gt=0)] = 50_000
    timing: Timing = Timing()

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret needs at least {MIN_SECRET_BYTES} bytes")
        if not self.token:
            raise ValueError("the token of the control paths must not be empty")

    @property
    def peer_address(self) -> str:
        """Where peers reach this process."""
        return self.advertise_peer or self.peer

    @property
    def url(self) -> str:
        """The base of the HTTP API as others reach it."""
        return f"http://{self.advertise_http or self.http}"
