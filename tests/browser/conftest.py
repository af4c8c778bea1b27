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
WINDOW = (1280, 900)


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


@pytest.fixture(scope="session")
def chromium() -> Iterator[webdriver.Chrome]:
    """A headless browser: its start takes longer than most tests."""
    require_browser()
    options = Options()
    options.binary_location = str(shutil.which(BROWSER))
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={WINDOW[0]},{WINDOW[1]}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def opened_tab(chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """Yields the browser with a new tab of the usual size and with empty logs, and closes the tab."""
    first = chromium.current_window_handle
    chromium.switch_to.new_window("tab")
    try:
        chromium.set_window_size(*WINDOW)
        for kind in ("browser", "performance"):
            chromium.get_log(kind)
        yield chromium
    finally:
        chromium.close()
        chromium.switch_to.window(first)


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """A tab of its own for each test: what a test sets with the developer tools ends with its tab."""
    with opened_tab(chromium) as driver:
        yield driver


def requested(driver: webdriver.Chrome) -> set[str]:
    """Returns the URLs that the page requested since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    found = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    return found | {m["params"]["url"] for m in messages if m["method"] == "Network.webSocketCreated"}
