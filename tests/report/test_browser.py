"""The pages in headless Chromium: what they show, do, and do not do."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from chromium import DESK, VIEWS, complaints_of_axe, started
from conformance import report as reports
from conformance.matrix import page as matrix_page
from conformance.records import Distance, SideBySide

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
MATRIX = ROOT / "schemas" / "examples" / "kill-matrix" / "valid" / "one-kill.json"


@pytest.fixture(scope="module")
def browser():
    with started() as found:
        yield found


@pytest.fixture(scope="module")
def address(golden, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(reports.render(golden.golden(), "html"), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def open_page(browser, address):
    """Open the golden report; afterwards nothing was fetched and nothing complained."""
    contexts, requests, complaints = [], [], []

    def call(colors="light", size=DESK, *, javascript=True, fragment=""):
        context = browser.new_context(
            color_scheme=colors, viewport=size, java_script_enabled=javascript
        )
        context.set_default_timeout(5_000)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(address + fragment)
        return page

    yield call
    for context in contexts:
        context.close()
    fetched = [url for url in requests if not url.startswith((address, "data:"))]
    assert not fetched, "the page asked for something outside itself"
    assert not complaints


def shown(page):
    return page.locator(".requirement:visible").evaluate_all("found => found.map(r => r.id)")


def test_text_from_outside_is_shown_and_does_nothing(open_page, golden):
    page = open_page()
    page.locator("#open-all").click()
    assert page.evaluate("window.pwned") is None
    assert page.title().startswith("nonconformant: decoder, fp32")
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1
    assert golden.SCRIPT in page.locator("body").inner_text()


def test_the_policy_lets_no_other_script_and_no_style_run(browser, golden, tmp_path):
    page_text = reports.render(golden.golden("x"), "html")
    injected = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>"
    file = tmp_path / "report.html"
    file.write_text(page_text.replace("<main>", f"<main>{injected}"), encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    page.wait_for_load_state("networkidle")  # the image's handler has had its chance
    assert page.evaluate("window.pwned") is None
    assert page.locator("#shown").inner_text() == "15 of 15 requirements shown"
    page.close()


def test_the_verdict_filter_shows_what_is_chosen(open_page):
    page = open_page()
    for verdict in ("pass", "error", "inconclusive", "not-run", "not-applicable"):
        page.locator(f"input[value={verdict}]").uncheck()
    assert shown(page) == ["GOLD-001", *(f"GOLD-{i:03d}" for i in (10, 11, 12, 14, 15))]
    page.locator("input[value=MUST]").uncheck()
    assert shown(page) == ["GOLD-011"]
    assert page.locator("#shown").inner_text() == "1 of 15 requirements shown"


def test_the_search_finds_ids_statements_and_cases(open_page):
    page = open_page()
    page.locator("#search").fill("gold-013")
    assert shown(page) == ["GOLD-013"]
    page.locator("#search").fill("STATEMENT 4 golden")
    assert "GOLD-004" in shown(page)
    page.locator("#search").fill("llama-mqa")
    assert shown(page) == ["GOLD-001"]
    page.locator("#search").fill("no such thing")
    assert shown(page) == []
    assert page.locator("#no-match").is_visible()


def test_everything_is_reached_and_used_by_keyboard(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.locator("#search").focus()
    page.keyboard.type("GOLD-002")
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.value || document.activeElement.tagName"))
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    assert reached >= {"fail", "pass", "MUST", "SHOULD", "BUTTON", "SUMMARY"}
    page.keyboard.press("Enter")
    assert page.locator("#GOLD-002").evaluate("row => row.open")


def test_the_focus_is_visible(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert width == "3px"


def test_a_link_to_a_requirement_opens_it_even_when_it_is_filtered_out(open_page):
    page = open_page()
    page.locator("#search").fill("GOLD-002")
    page.locator(".failure a", has_text="GOLD-010").click()
    page.wait_for_function("document.getElementById('GOLD-010').open")
    assert "GOLD-010" in shown(page)


def test_commands_are_copied(browser, address):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(address)
    page.locator(".failure .copy").first.click()
    page.wait_for_function("document.querySelector('.failure .copy').textContent === 'Copied'")
    copied = page.evaluate("navigator.clipboard.readText()")
    context.close()
    assert copied.startswith("llm-conformance run --candidate x --replay")


def test_without_javascript_everything_is_shown_and_no_dead_control(open_page):
    page = open_page(javascript=False)
    assert page.locator("#GOLD-014").is_visible()
    assert page.locator("#filter").is_hidden()
    page.locator("#GOLD-002 summary").click()
    assert page.locator("#GOLD-002 table").is_visible()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(open_page, width):
    page = open_page(size={"width": width, "height": 800})
    page.locator("#open-all").click()
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide


@pytest.mark.parametrize("view", VIEWS)
def test_each_drawing_is_shown_once_with_readable_text(open_page, view):
    page = open_page(*VIEWS[view])
    assert page.locator("section[aria-labelledby=headroom] svg:visible").count() == 1
    assert page.locator("section[aria-labelledby=fingerprint] svg:visible").count() == 2
    size = page.evaluate(
        "() => Math.min(...[...document.querySelectorAll('svg text')]"
        ".filter(t => t.getBoundingClientRect().height)"
        ".map(t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a))"
    )
    assert size >= 10


@pytest.mark.parametrize("view", VIEWS)
def test_no_text_of_a_drawing_lies_on_another(open_page, view):
    page = open_page(*VIEWS[view])
    boxes = page.locator("svg:visible text").evaluate_all(
        "found => found.map(t => [t.textContent, t.getBoundingClientRect().toJSON()])"
    )
    assert boxes
    for i, (one, a) in enumerate(boxes):
        for other, b in boxes[:i]:
            apart = a["right"] < b["left"] or b["right"] < a["left"]
            apart |= a["bottom"] <= b["top"] or b["bottom"] <= a["top"]
            assert apart, f"{one!r} lies on {other!r}"


def test_what_is_closed_on_the_screen_is_open_on_paper(open_page):
    page = open_page()
    inner = page.locator("#GOLD-001 table, #GOLD-001 dl, .plain table")
    # What a style leaves visible is settled when the next frame has been drawn, not before.
    visible = """async found => {
        await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
        return found.map(node => node.checkVisibility({contentVisibilityAuto: true}));
    }"""
    assert not any(inner.evaluate_all(visible))
    page.emulate_media(media="print")
    assert all(inner.evaluate_all(visible))


def test_print_leaves_out_what_cannot_be_used_on_paper(open_page):
    page = open_page()
    page.emulate_media(media="print")
    assert page.locator("#filter").is_hidden()
    assert page.locator(".copy:visible").count() == 0
    assert page.locator("#GOLD-014").is_visible()
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 within its margins
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_to_complain_about(open_page, view):
    page = open_page(*VIEWS[view])
    page.locator("#open-all").click()
    for closed in page.locator(".plain summary").all():
        closed.click()
    assert not complaints_of_axe(page)


@pytest.fixture(scope="module")
def matrix_address(tmp_path_factory):
    """The page of the example of a kill matrix that the schemas have."""
    file = tmp_path_factory.mktemp("page") / "kill-matrix.html"
    document = json.loads(MATRIX.read_text(encoding="utf-8"))
    file.write_text(matrix_page.render(document), encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize("view", VIEWS)
def test_the_kill_matrix_is_shown_without_complaint(browser, matrix_address, view):
    colors, size = VIEWS[view]
    page = browser.new_page(color_scheme=colors, viewport=size)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(matrix_address)
    assert "rope-base-10001" in page.locator("main").inner_text()
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not complaints_of_axe(page)
    page.close()
    assert asked == [matrix_address]
    assert not said


@pytest.fixture(scope="module")
def several_address(golden, tmp_path_factory):
    report, far = golden.golden("acme"), Distance(14.0, model="llama-gqa", unit_of="fp32")
    lost = Distance(math.nan, "acme kept no logits")
    rows = ((Distance(0.0), far, lost), (far, Distance(0.0), lost), (lost, lost, Distance(0.0)))
    exact = Distance(1.04), Distance(math.nan), Distance(5e7)
    file = tmp_path_factory.mktemp("page") / "several.html"
    page = reports.render_several(SideBySide((report,) * 3, exact, rows), "html")
    file.write_text(page, encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize("view", VIEWS)
def test_runs_side_by_side_are_shown_without_complaint(browser, several_address, view):
    colors, size = VIEWS[view]
    page = browser.new_page(color_scheme=colors, viewport=size)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(several_address)
    assert "acme kept no logits" in page.locator("main").inner_text()
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not complaints_of_axe(page)
    page.close()
    assert asked == [several_address]
    assert not said
