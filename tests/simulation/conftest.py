"""Silences the logs of virtual time, and gives the clock back after each test."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest
import structlog

from pairsim.replication import clock


@pytest.fixture(autouse=True)
def virtual_time() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()
    logging.disable(level)
    clock.use_clock(time.monotonic)
