"""How a replica whose engine cannot be started asks the other one for the interface of the area's simulator.

The other replica answers at its peer port, with one message. A replica of an earlier release refuses the question.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pairsim.model.decode_errors import UNDECODABLE
from pairsim.model.simulation.interface import SimulatorInterface
from pairsim.replication.transport.channel import ChannelError
from pairsim.replication.transport.dial import dial_with_any
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.sockets import PeerError


def answer_interface(link: PeerLink, interface: SimulatorInterface) -> None:
    """Sends the interface, and closes the link. Raises nothing: the replica that asked asks again."""
    try:
        link.send(msgspec.msgpack.encode(interface))
    except (OSError, ChannelError):
        return
    finally:
        link.close()


def ask_interface(address: str, secrets: Sequence[bytes], hello: Hello, timeout: float) -> SimulatorInterface:
    """Asks a replica for the interface of its area's simulator; waits at most `timeout` seconds for each step.

    Args:
        address: The peer address of the replica, host:port.
        secrets: The secrets of the world, in the order in which they are tried.
        hello: The question, of the kind `interface`.
        timeout: The limit of the handshake, and of the answer.

    Raises:
        PeerError: The replica cannot be reached, refuses the question, or does not answer.
        ChannelError: The replica does not know the secret, or does not speak the protocol.
    """
    link = dial_with_any(address, secrets, hello, timeout)
    try:
        return msgspec.msgpack.decode(link.receive(timeout), type=SimulatorInterface)
    except OSError as error:
        raise PeerError(f"{address} has not answered: {error}") from error
    except UNDECODABLE as error:
        raise PeerError(f"{address} sent no interface of a simulator: {error}") from error
    finally:
        link.close()
