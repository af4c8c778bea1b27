"""The console in a real browser, with a real world."""

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


def until(browser: Chrome, expectation: str, look: Callable[[], T]) -> T:
    waiting = WebDriverWait(browser, 30, 0.05, ignored_exceptions=[StaleElementReferenceException])
    return waiting.until(lambda _driver: look(), expectation)


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


def test_the_page_shows_the_world_and_loads_nothing_from_other_hosts(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    assert text(browser, "#summary") == "1 area, 1 redundant · 1 spare"
    rows = [row.text.split()[0] for row in browser.find_elements(By.CSS_SELECTOR, ".area tbody tr")]
    assert rows == ["active", "passive", "witness"]
    assert "witness-1" in text(browser, ".area tbody")
    (spare,) = up.status().spares  # the two simulators that answer first make the pair
    assert text(browser, "#spares") == f"Spares: {spare.name}"
    assert "50 entities" in text(browser, ".area .about")
    assert {urlsplit(url).netloc for url in requested(browser)} == {f"127.0.0.1:{up.port}"}
    assert browser.get_log("browser") == []


def test_entities_move_on_the_map(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    until(browser, "entities are shown", lambda: "50 of 50 entities shown" in text(browser, "#sampled"))
    drawn = "return document.getElementById('map').toDataURL()"
    first = browser.execute_script(drawn)
    until(browser, "the picture changes", lambda: browser.execute_script(drawn) != first)


def test_a_second_press_of_kill_kills_the_active_and_the_timeline_shows_it(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    before = len(events(browser, "takeover"))
    button(browser, "Kill the active of west")
    until(browser, "the page asks for confirmation", lambda: "Press again" in text(browser, "#message"))
    assert len(events(browser, "takeover")) == before
    button(browser, "Kill the active of west")
    until(browser, "the timeline shows the takeover", lambda: len(events(browser, "takeover")) == before + 1)
    assert "is active in place of" in events(browser, "takeover")[0]
    until(browser, "the timeline shows the end of the process", lambda: events(browser, "ended"))
    assert "was ended by signal 9 (Killed)" in events(browser, "ended")[0]
    until(browser, "redundancy is back", lambda: events(browser, "restored"))
    assert re.search(r"redundant again.*: sim-\d \(active\) and sim-\d \(passive\)", events(browser, "restored")[0])


def test_warnings_show_a_step_that_is_not_deterministic_and_slow_time(browser: Chrome, up: RunningWorld) -> None:
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
    warnings = text(browser, "#diverging .warnings")
    assert re.search(r"⚠ sim-\d computed another state than the active", warnings)
    assert warnings.endswith("; time runs at 0.4 of its rate")
    assert text(browser, "#pairs .warnings") == ""


def test_nothing_covers_the_timeline_at_any_scroll_position(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    browser.set_window_size(1280, 500)  # smaller than the page, like a large window after some takeovers
    assert browser.execute_script("return document.documentElement.scrollHeight > innerHeight + 100")
    overlap = """
        scrollTo(0, arguments[0] * document.documentElement.scrollHeight);
        const box = (part) => document.querySelector(part).getBoundingClientRect();
        return [box(".map").bottom, box(".timeline").top];
    """
    for share in (0, 0.5, 1):
        map_ends, timeline_begins = browser.execute_script(overlap, share)
        assert map_ends < timeline_begins


def test_the_keyboard_alone_can_order_a_switchover(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    before = len(events(browser, "switchover"))
    for _ in range(10):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        if browser.switch_to.active_element.get_attribute("aria-label") == "Switch west over":
            break
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(outline) == "solid"
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    until(browser, "a message confirms it", lambda: "west switched over: it paused for" in text(browser, "#message"))
    until(browser, "the timeline shows it", lambda: len(events(browser, "switchover")) > before)


def test_a_failed_request_is_shown_as_a_sentence(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    browser.execute_script(
        'window.fetch = async () => new Response(\'{"error": "west has no active"}\', {status: 409})'
    )
    button(browser, "Switch west over")
    until(browser, "a message shows the error", lambda: text(browser, "#message") == "west has no active")
    assert "bad" in str(browser.find_element(By.ID, "message").get_attribute("class"))


def test_the_page_follows_the_color_scheme_and_fits_a_phone(browser: Chrome, up: RunningWorld) -> None:
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


def test_the_page_reports_a_world_that_stopped_and_reconnects_to_it(browser: Chrome, up: RunningWorld) -> None:
    opened(browser, up)
    up.signal(signal.SIGINT)
    up.wait_for_exit()
    until(browser, "the page reports it", lambda: "does not answer" in text(browser, "#link"))
    up.start()
    up.wait_for("the world is ready: .*")
    until(browser, "the page is live again", lambda: text(browser, "#link") == "live")
    until(browser, "the timeline begins again", lambda: events(browser, "founded"))
