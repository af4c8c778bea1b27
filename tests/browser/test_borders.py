"""The console shows what crosses borders, what waits, and whether every entity is accounted for; no process runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser.conftest import opened_tab
from tests.browser.fake_world import FakeWorld, area, neighbour
from tests.browser.test_console import text, until
from tests.browser.test_layout import RECORD_DRAWING

BALANCES = (
    {"plane": "physics", "born": 6_000, "died": 1, "present": 5_996, "on_their_way": 3, "unaccounted": 0},
    {"plane": "sound", "born": 9, "died": 0, "present": 7, "on_their_way": 0, "unaccounted": 2},
)


def world() -> list[dict[str, object]]:
    """West sends to east, which lies beside it, and south waits for west; another plane has no borders."""
    west = area("west", (0, 0), (100, 100)) | {
        "borders": {"neighbours": [
            neighbour(3, "south"), neighbour(2, "east", out=103.4, came=2.5, waiting=3, seconds=0.1),
            neighbour(9, "", waiting=4, seconds=2.4),
        ]},
    }  # fmt: skip
    east = area("east", (100, 0), (200, 100)) | {"borders": {"neighbours": [neighbour(1, "west", out=2.5)]}}
    sound = area("sound", (0, 0), (200, 100), plane="sound")
    south = area("south", (0, -100), (100, 0)) | {
        "borders": {"neighbours": [neighbour(1, "west", waiting=1_204, seconds=6.2)]},
    }  # fmt: skip
    return [west, east, south, sound]


@pytest.fixture(scope="module")
def browser(chromium: Chrome) -> Iterator[Chrome]:
    with opened_tab(chromium) as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": RECORD_DRAWING})
        made = FakeWorld(world(), balances=BALANCES)
        try:
            driver.get(f"http://127.0.0.1:{made.port}/")
            until(driver, "the page is live", lambda: text(driver, "#link") == "live")
            until(driver, "the map is drawn", lambda: driver.execute_script("return drawn.texts.size > 0"))
            yield driver
        finally:
            made.close()


def borders(browser: Chrome, place: int) -> list[tuple[str, str]]:
    items = browser.find_elements(By.CSS_SELECTOR, f".area:nth-of-type({place}) .borders li")
    return [(str(item.get_attribute("class")), item.text) for item in items]


def test_the_card_of_an_area_has_a_text_for_each_neighbour(browser: Chrome) -> None:
    assert borders(browser, 1) == [
        ("waits", "area number 9 → 0/s ← 0/s, 4 wait for 2 s"),
        ("flows", "east → 103/s ← 2.5/s"),
        ("flows", "south → 0/s ← 0/s"),
    ]
    assert borders(browser, 3) == [("stalled", "west → 0/s ← 0/s, 1,204 wait for 6 s")]


def test_what_waits_has_a_colour_of_its_own(browser: Chrome) -> None:
    colour = "return getComputedStyle(document.querySelector(arguments[0])).color"
    colours = [browser.execute_script(colour, f".borders .{how}") for how in ("flows", "waits", "stalled")]
    assert len(set(colours)) == 3


def test_the_map_marks_each_direction_of_a_border(browser: Chrome) -> None:
    drawn = set(browser.execute_script("return [...drawn.texts]"))
    assert {"→ 103/s", "← 2.5/s", "↑ 1,204 wait"} <= drawn
    assert not {"↓ 0/s", "→ 0/s"} & drawn


def test_a_line_says_whether_every_entity_is_accounted_for(browser: Chrome) -> None:
    items = browser.find_elements(By.CSS_SELECTOR, "#balances li")
    assert [(item.text, item.get_attribute("class")) for item in items] == [
        ("physics: 5,996 entities: 6,000 born, 1 died, 3 on their way", ""),
        ("sound: 7 entities: 9 born, 0 died, 0 on their way, ⚠ 2 missing", "off"),
    ]
    assert browser.get_log("browser") == []
