"""The client is tested against the real server over fakes of a process."""

from tests.unit.server.conftest import http, service, url

__all__ = ["http", "service", "url"]
