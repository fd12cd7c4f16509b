"""The page in a real browser: nothing is loaded, nothing is wrong with it for anybody; and hostile values stay text."""

from __future__ import annotations

import random
import shutil
from html.parser import HTMLParser
from typing import Any

import pytest

from launcher.comparison.page import render_page
from tests.comparison.answers import fill, new_comparison, record
from tests.comparison.versions import noisy, planted
from tests.needs import CHROMIUM, unavailable

HOSTILE = "<script>alert(1)</script>&\"'"


def a_report(count: int = 600) -> dict[str, Any]:
    draw = random.Random(3)
    comparison = new_comparison(clock=lambda: 0.0)
    bad = planted(planted(noisy, "status", 0.1), "type", 0.1)
    for number in range(count):
        each = record(number, ("/users/1", "/orders/2/items", "/search")[number % 3], ("GET", "POST")[number % 7 == 0])
        for role, version in enumerate((noisy, noisy, bad)):
            comparison.ended(role, each, fill(comparison.new_answer(), **version(number, draw)))
    return comparison.report(final=True)


def hostile_report() -> dict[str, Any]:
    """As it would be if all that is checked on the way here had not been."""
    report = a_report()
    report["outputs"][0] |= {"role": HOSTILE, "destination": HOSTILE}
    candidate = report["candidates"][0]
    candidate["name"] = HOSTILE
    for each in candidate["endpoints"]:
        each["name"] = HOSTILE
    for row in candidate["differences"]:
        row |= {"endpoint": HOSTILE, "where": HOSTILE, "how": HOSTILE}
        for example in row["examples"]:
            example |= {"request_id": HOSTILE, "trace_id": HOSTILE}
            example["candidate"] |= {"answer": HOSTILE, "digest": HOSTILE}
    candidate["statuses"].append([HOSTILE, HOSTILE, 1])
    return report


class Reader(HTMLParser):
    """Collects the page's elements, and whether what opens is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.urls: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.urls += [value for name, value in attrs if name in ("src", "href", "action", "data")]
        assert not [name for name, _ in attrs if name.startswith("on") or name == "style"]
        if tag not in ("meta", "link", "polyline", "line", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("report", [a_report, hostile_report])
def test_the_page_has_no_script_and_no_address_of_anything_outside(report):
    reader = Reader()
    reader.feed(render_page(report()))
    assert reader.open == []
    assert not {"script", "iframe", "object", "img"} & set(reader.tags)
    assert reader.urls == ["data:,"]


def test_hostile_values_stay_text():
    page = render_page(hostile_report())
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#x27;" in page
    assert HOSTILE not in page
    assert "<script" not in page


def test_no_value_of_an_answer_is_in_the_page():
    """Of these answers: values of members, of cookies, of headers."""
    page = render_page(a_report())
    for value in ("tea", "session=", "sometimes", "no-store", "2026-01-01T"):
        assert value not in page
    assert "$.token" in page
    assert "X-Request-Id <code>id-" in page


@pytest.fixture
def chromium() -> str:
    """The browser's file."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    return found or unavailable("there is no Chromium: apt-get install chromium", CHROMIUM)


def test_the_page_in_a_browser_loads_nothing_fits_the_width_and_is_accessible(tmp_path, chromium):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    file = tmp_path / "report.html"
    file.write_text(render_page(a_report()))
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme, width in (("light", 1100), ("dark", 390)):
            # axe is a script, which the page itself forbids
            context = browser.new_context(
                color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True
            )
            page = context.new_page()
            requests: list[str] = []
            problems: list[str] = []
            page.on("request", lambda request, seen=requests: seen.append(request.url))
            page.on("console", lambda message, seen=problems: seen.append(message.text))
            page.goto(file.as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert Axe().run(page).violations_count == 0
            back = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert back == ("rgb(13, 17, 23)" if scheme == "dark" else "rgb(255, 255, 255)")
            assert (requests, problems) == ([file.as_uri()], [])
        browser.close()


def test_all_that_opens_and_scrolls_is_reached_with_the_tab_key(tmp_path, chromium):
    from playwright.sync_api import sync_playwright

    file = tmp_path / "report.html"
    file.write_text(render_page(a_report()))
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(file.as_uri())
        visible = "[...document.querySelectorAll('summary, .scroll')].filter(each => each.checkVisibility())"
        wanted = page.evaluate(f"{visible}.length")
        reached = 0
        for _ in range(wanted):
            page.keyboard.press("Tab")
            reached += page.evaluate("document.activeElement.matches('summary, .scroll')")
        page.keyboard.press("Enter")
        browser.close()
    assert reached == wanted > 5
