"""The client is tested against the real server over fakes of a process."""

from tests.unit.server.conftest import http, port, url

__all__ = ["http", "port", "url"]
