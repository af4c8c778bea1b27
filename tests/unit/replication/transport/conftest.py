"""Fixtures of the tests of links between processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.replication.transport.peers import ListeningPort, listening


@pytest.fixture
def port() -> Iterator[ListeningPort]:
    """A peer port with long deadlines."""
    with listening() as port:
        yield port
