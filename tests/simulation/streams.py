"""State streams over the simulated network: each replica subscribes to the other replica of its generation."""

from __future__ import annotations

from pairsim.replication.replica.node import AreaNode
from pairsim.replication.sync.messages import ToSubscriber, decode_to_subscriber, encode_to_subscriber
from pairsim.replication.sync.publisher import PackedFrame, Subscriber
from tests.simulation.network import Endpoint, Network
from tests.simulation.oracle import Violation


class SimOutlet:
    """An `Outlet` over the network."""

    def __init__(self, network: Network, key: str, peer: str) -> None:
        self._network, self._key, self._peer = network, key, peer

    def offer(self, message: ToSubscriber, body: PackedFrame | None) -> None:
        head = encode_to_subscriber(message)
        self._network.send(self._key, self._peer, head + (body.bytes() if body else b""))


class Streams:
    """The two ends of every state stream."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def attach(self, node: AreaNode, name: str) -> None:
        """Lets a replica serve its state and subscribe to the other replica's."""
        self._serve(node, name)
        self._subscribe(node, name)

    def _serve(self, node: AreaNode, name: str) -> None:
        key, publisher = f"{name}|serve", node.replica.publisher
        subscribers: dict[str, Subscriber] = {}
        endpoint = Endpoint(name)

        def up(peer: str) -> None:
            subscribers[peer] = publisher.join(peer.split("|", maxsplit=1)[0], SimOutlet(self._network, key, peer))

        def down(peer: str) -> None:
            publisher.leave(subscribers.pop(peer))

        def message(peer: str, said: object) -> None:
            publisher.on_message(subscribers[peer], said)  # type: ignore[arg-type]

        endpoint.up, endpoint.down, endpoint.message = up, down, message
        self._network.add(key, endpoint)

    def _subscribe(self, node: AreaNode, name: str) -> None:
        key, follower = f"{name}|subscribe", node.replica.follower
        endpoint = Endpoint(name)

        def wants() -> frozenset[str]:
            source = node.stream_source()
            return frozenset() if source is None else frozenset({f"{source[0]}|serve"})

        def up(peer: str) -> None:
            follower.on_connected(lambda said: _drop(self._network.send(key, peer, said)))

        def message(_peer: str, data: object) -> None:
            header, body = decode_to_subscriber(data)  # type: ignore[arg-type]
            if not follower.receive(header, body):
                raise Violation("the active sent more frames than it may")
            if follower.ready():
                node.wake_replica()

        endpoint.wants, endpoint.up, endpoint.message = wants, up, message
        endpoint.down = lambda _peer: follower.on_disconnected()
        self._network.add(key, endpoint)


def _drop(_value: object) -> None:
    """Drops a value."""
