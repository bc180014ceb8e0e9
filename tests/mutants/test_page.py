"""The kill matrix's page in headless Chromium: it can be read beyond its first screen."""

from __future__ import annotations

import pytest

from chromium import DESK, PHONE, VIEWS, complaints_of_axe, started
from conformance import matrix, mutants
from conformance.matrix import page, record
from conformance.records import Measurement, Verdict

pytestmark = pytest.mark.browser

IDS = ("ATTN-001", "LOGITS-001", "LOGITS-002")


def rows():
    """Return an honest row, and one for every mutant of two topics."""
    honest = matrix.Row("mutant", None, tuple(cell(name, 1.0) for name in IDS))
    chosen = [m for m in mutants.all_mutants().values() if m.topic in ("masks", "positions")]
    killed = [cell(name, 40.0, Verdict.FAIL) for name in IDS]
    return [honest, *(matrix.Row(mutant.name, mutant, tuple(killed)) for mutant in chosen)]


def cell(requirement, observed, verdict=Verdict.PASS):
    worst = Measurement("max", observed, 4.0, "noise units", "", 1)
    failed = ("test_a_check",) if verdict is Verdict.FAIL else ()
    return matrix.Cell(requirement, verdict, worst, "", "test_a_check", failed)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "kill-matrix.html"
    parts = [record.part(precision, rows()) for precision in ("fp32", "bf16")]
    file.write_text(page.render(record.document(parts)), encoding="utf-8")
    return file.as_uri()


@pytest.fixture(scope="module")
def browser():
    with started() as found:
        yield found


@pytest.fixture
def open_page(browser, address):
    opened = []

    def call(size=DESK, colors="light", fragment=""):
        context = browser.new_context(viewport=size, color_scheme=colors)
        opened.append(context)
        shown = context.new_page()
        shown.goto(address + fragment)
        return shown

    yield call
    for context in opened:
        context.close()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_heads_and_names_stay_in_view_and_the_page_never_scrolls_sideways(open_page, size):
    shown = open_page(size, fragment="#fp32-masks")
    box = shown.locator("section:has(> #fp32-masks) > .scroll")
    box.evaluate("box => { box.scrollTop = 200; box.scrollLeft = 150 }")
    frame = box.bounding_box()
    head = box.locator("thead th").first.bounding_box()
    name = box.locator("tbody th").nth(8).bounding_box()
    assert head["y"] == pytest.approx(frame["y"], abs=2)
    assert name["x"] == pytest.approx(frame["x"], abs=2)
    assert name["width"] < size["width"] / 2
    assert frame["height"] < size["height"]
    assert not shown.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_the_filter_finds_names_words_threads_and_requirements(open_page):
    shown = open_page()
    for words, name in (("interval", "mask-kept-as-an-interval"), ("llama.cpp#8650", "rope-sc")):
        shown.locator("#search").fill(words)
        found = shown.locator("tr.mutant:visible th").all_inner_texts()
        assert found
        assert all(text.startswith(name) for text in found)
    shown.locator("#search").fill("no such mutant")
    assert shown.locator("tr.mutant:visible").count() == 0
    assert shown.locator("h3:visible", has_text="masks").count() == 0


def test_a_name_opens_to_the_checks_that_failed(open_page):
    shown = open_page()
    first = shown.locator("details").first
    first.locator("summary").click()
    assert "LOGITS-001: 40 noise units, allowed 4; test_a_check" in first.inner_text()


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_to_complain_about(open_page, view):
    colors, size = VIEWS[view]
    assert not complaints_of_axe(open_page(size, colors))
