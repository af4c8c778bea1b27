"""Fixtures: a real Chromium, and a real world that it shows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.process.world.running_worlds import RunningWorld

BROWSER, DRIVER = "chromium", "chromedriver"


def require_browser() -> None:
    """Skips the test where a program is missing."""
    for tool in (BROWSER, DRIVER):
        if shutil.which(tool) is None:
            pytest.skip(
                f"the console's tests need a browser, and {tool} is missing: apt-get install chromium chromium-driver"
            )


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    require_browser()
    made = RunningWorld(tmp_path_factory.mktemp("world"))
    made.start()
    try:
        made.wait_for("the world is ready: .*")
        made.wait_until_redundant()
        yield made
    finally:
        made.close()


@contextmanager
def opened_browser() -> Iterator[webdriver.Chrome]:
    """Yields a headless browser, and ends it."""
    options = Options()
    options.binary_location = str(shutil.which(BROWSER))
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    with opened_browser() as driver:
        yield driver


def requested(driver: webdriver.Chrome) -> set[str]:
    """Returns the URLs that the page requested since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    found = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    return found | {m["params"]["url"] for m in messages if m["method"] == "Network.webSocketCreated"}
