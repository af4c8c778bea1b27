"""The console's page on small and large screens, with worlds of many shapes; no process runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser.conftest import opened_tab
from tests.browser.fake_world import FakeWorld, area, event, sample
from tests.browser.test_console import button, text, until

WEST, EAST = area("west", (0, 0), (100, 100)), area("east", (100, 0), (200, 100), redundant=False)
RECORD_DRAWING = """
    window.drawn = {texts: new Set(), fills: new Set()};
    const { fill, fillText } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
        drawn.texts.add(text); return fillText.call(this, text, ...rest);
    };
    CanvasRenderingContext2D.prototype.fill = function (...rest) {
        drawn.fills.add(this.fillStyle); return fill.call(this, ...rest);
    };
"""


@pytest.fixture(scope="module")
def browser(chromium: Chrome) -> Iterator[Chrome]:
    with opened_tab(chromium) as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": RECORD_DRAWING})
        yield driver


@contextmanager
def shown(
    browser: Chrome, areas: Sequence[dict[str, object]], samples: Sequence[dict[str, object]] = (), *, width: int = 1280
) -> Iterator[FakeWorld]:
    """Opens the page on a world, in a window of a width; a narrow one is a phone."""
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    world = FakeWorld(areas, samples, [event(number, "west") for number in range(1, 30)])
    try:
        browser.get(f"http://127.0.0.1:{world.port}/")
        until(browser, "the page is live", lambda: text(browser, "#link") == "live")
        until(browser, "the map is drawn", lambda: browser.execute_script("return drawn.texts.size > 0"))
        yield world
    finally:
        world.close()


def box(browser: Chrome, selector: str) -> dict[str, float]:
    """Returns the rectangle of an element on the screen."""
    script = "return JSON.stringify(document.querySelector(arguments[0]).getBoundingClientRect())"
    found: dict[str, float] = json.loads(browser.execute_script(script, selector))
    return found


def test_on_a_phone_the_state_of_the_connection_stays_in_the_first_line(browser: Chrome) -> None:
    with shown(browser, [WEST, EAST], width=390):
        name, link, summary = (box(browser, part) for part in ("h1", "#link", "#summary"))
        assert link["top"] < name["bottom"] <= summary["top"] + 1
        assert link["height"] < 30
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("width", [390, 1280])
def test_a_message_covers_no_button_and_moves_none(browser: Chrome, width: int) -> None:
    with shown(browser, [WEST, EAST], width=width) as world:
        world.refusal = "west has no active at the moment, so that nothing can be handed over: try again in a while"
        for label in ("Switch west over", "Switch east over"):
            before = box(browser, f"button[aria-label='{label}']")
            button(browser, label)
            until(browser, "the message is shown", lambda: "handed over" in text(browser, "#message"))
            after = box(browser, f"button[aria-label='{label}']")
            # The browser may have scrolled to the button before it pressed it.
            scrolled = after["top"] - before["top"]
            assert browser.execute_script("return scrollY") in {0, -scrolled}
            message = box(browser, "#message")
            assert message["height"] > 20
            for each in browser.find_elements(By.CSS_SELECTOR, ".actions button"):
                at = json.loads(
                    browser.execute_script("return JSON.stringify(arguments[0].getBoundingClientRect())", each)
                )
                apart = at["bottom"] <= message["top"] or message["bottom"] <= at["top"]
                assert apart, f"the message covers {each.get_attribute('aria-label')}"


def test_no_hole_is_left_beside_the_pairs(browser: Chrome) -> None:
    many = [area(f"area-{number}", (100 * number, 0), (100 * number + 100, 100)) for number in range(3)]
    for areas in ([WEST], [WEST, EAST], many):
        with shown(browser, areas):
            world, timeline, pairs = (box(browser, part) for part in (".map", ".timeline", ".pairs"))
            assert 0 < timeline["top"] - world["bottom"] < 30
            assert abs(timeline["bottom"] - pairs["bottom"]) < 2
            listed = box(browser, "#timeline")
            assert listed["bottom"] <= timeline["bottom"]
            assert listed["height"] > 80


def test_the_map_stays_visible_beside_a_long_list_of_pairs(browser: Chrome) -> None:
    with shown(browser, [area(f"area-{n}", (100 * n, 0), (100 * n + 100, 100)) for n in range(12)]):
        browser.execute_script("scrollTo(0, 900)")
        world, timeline = box(browser, ".map"), box(browser, ".timeline")
        assert 0 <= world["top"] < world["bottom"] < timeline["top"] < timeline["bottom"] <= 844


def test_planes_over_each_other_differ_in_colour_and_shape(browser: Chrome) -> None:
    weather = area("weather", (0, 0), (200, 100), plane="climate")
    samples = [sample("west", [(10, 10)], 1), sample("east", [(150, 20)], 1), sample("weather", [(90, 90)], 1)]
    with shown(browser, [WEST, EAST, weather], samples):
        marks = browser.find_elements(By.CSS_SELECTOR, "#planes > span")
        assert [mark.text for mark in marks] == ["●physics", "■climate"]
        until(browser, "all are drawn", lambda: browser.execute_script("return drawn.fills.size") >= 2)
        fills, texts = browser.execute_script("return [[...drawn.fills], [...drawn.texts]]")
        assert len(fills) == 2
        assert {"●", "■"} <= set(texts)
        assert [name for name in ("west", "east", "weather") if not any(t.startswith(name) for t in texts)] == []
    with shown(browser, [WEST, EAST]):
        assert text(browser, "#planes") == ""


def test_narrow_areas_have_a_label(browser: Chrome) -> None:
    strips = [area(f"physics-{n}", (25 * n, 0), (25 * n + 25, 100)) for n in range(8)]
    sliver = area("sliver", (200, 0), (203, 100))
    for width in (390, 1280):
        with shown(browser, [*strips, sliver], width=width):
            texts = browser.execute_script("return [...drawn.texts]")
            assert [n for n in range(8) if not any(t.startswith(f"physics-{n}") for t in texts)] == []
            assert text(browser, "#unnamed") == "too narrow for a name: sliver"


def test_entities_without_a_position_are_named_as_such(browser: Chrome) -> None:
    with shown(browser, [WEST], [sample("west", [], 80, unplaced=True)]):
        expected = "80 entities have no position, so the map does not show them"
        until(browser, "the reason is shown", lambda: text(browser, "#sampled") == expected)
    with shown(browser, [WEST, EAST], [sample("west", [], 80, unplaced=True), sample("east", [(150, 1)], 50)]):
        expected = "1 of 50 entities shown; 80 entities have no position, so the map does not show them"
        until(browser, "both are counted", lambda: text(browser, "#sampled") == expected)
