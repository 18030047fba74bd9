"""The page in a real browser: `make browser` installs one, and runs this."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="make browser installs playwright")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: make browser installs it"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A window whose page may not fail, nor leave this machine."""
    made = browser.new_page(viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    yield made
    made.close()
    assert faults == []


def opened(page: Any, client: Any, path: str = "/") -> Any:
    page.goto(f"http://127.0.0.1:{client.port}{path}")
    playwright.expect(page.locator("#command")).to_contain_text("curl")  # it knows the models
    return page


def shot(page: Any, name: str) -> None:
    """Keep a picture where somebody wants to look at it."""
    if folder := os.environ.get("SCREENS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_a_text_is_answered_by_every_task_by_keyboard_alone(serve, page):
    client = serve()
    opened(page, client)
    page.keyboard.type("a paris good b")  # the text has the focus
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("section.model dl dd")
    assert page.locator("section.model dt").all_inner_texts() == ["mood", "grade", "places"]
    answer = client.answer(["a paris good b"], probabilities=True).value["answers"][0]
    mood = page.locator("section.model dd").nth(0).inner_text().split("\n")
    assert mood[0] == answer["mood"]["answer"]
    assert len(page.locator("section.model dd").nth(0).locator(".bar").all()) == 2
    shown = page.locator("section.model dd").nth(2)
    marks = [mark.evaluate("m => m.firstChild.textContent") for mark in shown.locator("mark").all()]
    assert marks == [entity["text"] for entity in answer["places"]["entities"]]
    assert '"texts":["a paris good b"]' in page.locator("#command").inner_text()
    assert "6 tokens; " in page.locator("section.model .note").last.inner_text()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        shot(page, f"wide-{scheme}")


def test_two_texts_are_a_pair_and_the_last_ones_come_back(serve, page):
    opened(page, serve())
    page.fill("#first", "a good b")
    page.fill("#second", "it's bad")
    page.click("button.go")
    page.wait_for_selector("section.model dl dd")
    assert page.locator("section.model dt").all_inner_texts() == ["same"]
    assert "it'\\''s bad" in page.locator("#command").inner_text()  # a shell takes it as it is
    page.fill("#second", "")
    page.click("button.go")
    playwright.expect(page.locator("section.model dt")).to_have_count(3)
    last = page.locator("#last button")
    assert last.all_inner_texts() == ["a good b", "a good b | it's bad"]
    last.nth(1).click()
    playwright.expect(page.locator("section.model dt")).to_have_count(1)
    assert page.input_value("#second") == "it's bad"


def test_two_models_stand_side_by_side_and_below_each_other_on_a_phone(serve, save, page):
    client = serve({"one": save("one"), "two": save("two", 1)})
    opened(page, client)
    page.fill("#first", "<b>good</b> & bad, paris " + "abcdefghij" * 30)  # nothing is markup
    page.click("button.go")
    playwright.expect(page.locator("section.model dl")).to_have_count(2)
    playwright.expect(page.locator("section.model .note")).to_have_count(2)
    assert page.locator("section.model b >> text=good").count() == 0
    left, right = (page.locator("section.model").nth(i).bounding_box() for i in range(2))
    assert left["y"] == right["y"]
    shot(page, "two")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 360, "height": 740})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, scheme
        shot(page, f"phone-{scheme}")
    upper, lower = (page.locator("section.model").nth(i).bounding_box() for i in range(2))
    assert upper["y"] < lower["y"]


def test_a_token_is_asked_for_and_an_error_is_shown(serve, browser):
    client = serve(token="secret")
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{client.port}/")
    page.wait_for_selector("#guard:not([hidden])")
    assert "the token is missing or wrong" in page.locator("#error").inner_text()
    page.fill("#token", "secret")
    page.fill("#first", "a good b")
    page.keyboard.press("Enter")
    page.click("button.go")
    page.wait_for_selector("section.model dl dd")
    assert "TOKEN" in page.locator("#command").inner_text()
    assert "secret" not in page.locator("#command").inner_text()
    page.fill("#first", "a" * 100_001)
    page.click("button.go")
    page.wait_for_selector("section.model .error")
    assert "at most 100,000 are allowed" in page.locator("section.model .error").inner_text()
    page.close()
