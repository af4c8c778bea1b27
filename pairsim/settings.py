"""The settings of a process, from its command line or environment; validated once, then passed on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from pairsim.addresses import http_url, parse_address
from pairsim.model.area import AreaSpec
from pairsim.model.names import Address, Name

MIN_SECRET_BYTES = 16
"""The shortest secret that a process accepts."""

_HEARTBEAT_SHARE = 0.2
"""The heartbeat as a part of the shortest election timeout, if that is short."""


class Timing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The timers of Raft, in seconds. The defaults suit one rack; all members of an area need the same values.

    Attributes:
        heartbeat: The longest time between two messages of a leader.
        election_min, election_max: The range of the election timeout: a replica that hears from no leader for a random
            time in it asks for votes.
        witness_factor: How many times longer the witness waits before it asks for votes.
        ping: How often members send a message over each link, so that a dead link is detected.
        connect_timeout: The limit of a connection attempt together with its handshake.
        retry: The pause before the next connection attempt.
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

    def of_area(self, spec: AreaSpec) -> Timing:
        """Returns the timers of an area's groups: these, with the election timeout that its plane wants."""
        milliseconds = spec.detection.election_timeout_ms if spec.detection else msgspec.UNSET
        if not milliseconds:
            return self
        shortest = milliseconds / 1000
        return msgspec.structs.replace(
            self,
            heartbeat=min(self.heartbeat, shortest * _HEARTBEAT_SHARE),
            election_min=shortest,
            election_max=shortest * self.election_max / self.election_min,
        )


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a simulator or witness process.

    Attributes:
        name: The name of the process, unique in the world; the pod's name on Kubernetes.
        http: The address that the HTTP API listens at, host:port.
        peer: The address that Raft and the state stream listen at, host:port.
        advertise_http, advertise_peer: The addresses at which other processes reach `http` and `peer`; empty means
            that they are the same.
        data: The folder for journal, checkpoints and assignment; only one process at a time may use it.
        secret: The secret that all processes of the world share; the keys of the peer port are derived from it.
        previous_secret: A secret that is accepted as well, while the world changes from it to `secret`; empty for none.
        token: The bearer token of the control paths.
        allow_origins: Origins whose web pages may use the HTTP API, as `pairsim.server.http.origins` parses them.
        checkpoint_seconds: The seconds from one checkpoint of a replica to the next.
        inbox_commands: How many commands may wait for a tick before new ones are refused.
        timing: The timers of Raft.
    """

    name: Name
    http: Address
    peer: Address
    data: Path
    secret: bytes
    token: str
    previous_secret: bytes = b""
    advertise_http: str = ""
    advertise_peer: str = ""
    allow_origins: tuple[str, ...] = ()
    checkpoint_seconds: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    inbox_commands: Annotated[int, msgspec.Meta(gt=0)] = 50_000
    timing: Timing = Timing()

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret needs at least {MIN_SECRET_BYTES} bytes")
        if self.previous_secret and len(self.previous_secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the previous secret needs at least {MIN_SECRET_BYTES} bytes")
        if not self.token:
            raise ValueError("the token of the control paths must not be empty")

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """The secrets that this process accepts from peers, in the order in which it tries them itself."""
        return (self.secret, self.previous_secret) if self.previous_secret else (self.secret,)

    @property
    def peer_address(self) -> str:
        """The address (host:port) at which peers reach this process."""
        return self.advertise_peer or self.peer

    @property
    def url(self) -> str:
        """The base URL at which other processes reach the HTTP API."""
        return http_url(*parse_address(self.advertise_http or self.http))
