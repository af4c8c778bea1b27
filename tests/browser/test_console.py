"""The console in a real browser, beside a real world."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.conftest import requested
from tests.process.world.running_worlds import RunningWorld

T = TypeVar("T")


def until(browser: Chrome, what: str, look: Callable[[], T]) -> T:
    waiting = WebDriverWait(browser, 30, 0.05, ignored_exceptions=[StaleElementReferenceException])
    return waiting.until(lambda _driver: look(), what)


def opened(browser: Chrome, up: RunningWorld) -> None:
    browser.get(f"http://127.0.0.1:{up.port}/")
    until(browser, "the page is live", lambda: text(browser, "#link") == "live")
    until(browser, "the area is redundant", lambda: "● redundant" in text(browser, ".area .state"))


def text(browser: Chrome, selector: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, selector).text


def events(browser: Chrome, kind: str) -> list[str]:
    return [item.text for item in browser.find_elements(By.CSS_SELECTOR, f"#timeline li[data-kind={kind}]")]


def button(browser: Chrome, label: str) -> None:
    browser.find_element(By.CSS_SELECTOR, f"button[aria-label='{label}']").click()


def test_the_world_is_shown_from_this_host_alone_and_without_complaints(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    assert text(browser, "#summary") == "1 area, 1 redundant · 1 spare"
    rows = [row.text.split()[0] for row in browser.find_elements(By.CSS_SELECTOR, ".area tbody tr")]
    assert rows == ["active", "passive", "witness"]
    assert "witness-1" in text(browser, ".area tbody")
    assert text(browser, "#spares") == "Spares: sim-3"
    assert "50 entities" in text(browser, ".area .about")
    assert {urlsplit(url).netloc for url in requested(browser)} == {f"127.0.0.1:{up.port}"}
    assert browser.get_log("browser") == []


def test_entities_move_on_the_map(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    until(browser, "entities are shown", lambda: "50 of 50 entities shown" in text(browser, "#sampled"))
    drawn = "return document.getElementById('map').toDataURL()"
    first = browser.execute_script(drawn)
    until(browser, "the picture changes", lambda: browser.execute_script(drawn) != first)


def test_an_active_is_killed_by_pressing_twice_and_the_takeover_is_told(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    before = len(events(browser, "takeover"))
    button(browser, "Kill the active of west")
    until(browser, "it asks again", lambda: "Press again" in text(browser, "#told"))
    assert len(events(browser, "takeover")) == before
    button(browser, "Kill the active of west")
    until(browser, "the takeover is told", lambda: len(events(browser, "takeover")) == before + 1)
    assert "is active in place of" in events(browser, "takeover")[0]
    assert "was ended by signal 9 (Killed)" in events(browser, "ended")[0]
    until(browser, "redundancy is back", lambda: events(browser, "restored"))
    assert re.search(r"redundant again.*: sim-\d \(active\) and sim-\d \(passive\)", events(browser, "restored")[0])


def test_a_step_that_is_not_deterministic_and_time_that_runs_slowly_are_told(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    browser.execute_async_script("""
        const done = arguments[0];
        Promise.all([import("/console/pairs.js"), fetch("/v1/world").then((answer) => answer.json())])
            .then(([{ Pairs }, world]) => {
                world.areas[0].replicas[1].divergences = 3;
                world.areas[0].slow = "time runs at 0.4 of its rate";
                const root = document.createElement("div");
                root.id = "diverging";
                document.body.append(root);
                new Pairs(root, () => {}).world(world.areas, true);
                done();
            });
    """)
    told = text(browser, "#diverging .warned")
    assert re.search(r"⚠ sim-\d came to another state than the active", told)
    assert told.endswith("; time runs at 0.4 of its rate")
    assert text(browser, "#pairs .warned") == ""


def test_nothing_covers_the_timeline_wherever_the_page_is_scrolled_to(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    browser.set_window_size(1280, 500)  # the page is longer than that, as after a few takeovers in a larger one
    assert browser.execute_script("return document.documentElement.scrollHeight > innerHeight + 100")
    overlap = """
        scrollTo(0, arguments[0] * document.documentElement.scrollHeight);
        const box = (part) => document.querySelector(part).getBoundingClientRect();
        return [box(".map").bottom, box(".timeline").top];
    """
    for share in (0, 0.5, 1):
        map_ends, timeline_begins = browser.execute_script(overlap, share)
        assert map_ends < timeline_begins


def test_a_switchover_needs_the_keyboard_alone(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    before = len(events(browser, "switchover"))
    for _ in range(10):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        if browser.switch_to.active_element.get_attribute("aria-label") == "Switch west over":
            break
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(outline) == "solid"
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    until(browser, "it is told", lambda: "west switched over: it stood still for" in text(browser, "#told"))
    until(browser, "it is in the timeline", lambda: len(events(browser, "switchover")) > before)


def test_an_order_that_fails_is_told_as_a_sentence(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    browser.execute_script(
        'window.fetch = async () => new Response(\'{"error": "west has no active"}\', {status: 409})'
    )
    button(browser, "Switch west over")
    until(browser, "it is told", lambda: text(browser, "#told") == "west has no active")
    assert "bad" in str(browser.find_element(By.ID, "told").get_attribute("class"))


def test_it_is_light_or_dark_as_the_reader_likes_and_fits_a_phone(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    grounds = {}
    for scheme in ("light", "dark"):
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        colours = browser.execute_script(
            "const s = (e) => getComputedStyle(e);"
            "return [s(document.documentElement).backgroundColor, s(document.body).color]"
        )
        grounds[scheme] = [sum(map(int, colour[4:-1].split(","))) for colour in colours]
    assert grounds["light"][0] > 600 > grounds["light"][1]
    assert grounds["dark"][0] < 150 < grounds["dark"][1]
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    assert browser.execute_script("return document.documentElement.scrollWidth <= 390")


def test_a_world_that_ends_is_told_and_one_that_comes_back_is_shown(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    up.signal(signal.SIGINT)
    up.wait_for_exit()
    until(browser, "it is told", lambda: "does not answer" in text(browser, "#link"))
    up.start()
    up.wait_for("the world is ready: .*")
    until(browser, "it is shown again", lambda: text(browser, "#link") == "live")
    until(browser, "its story is told", lambda: events(browser, "founded"))
