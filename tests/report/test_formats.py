"""Every format renders the golden report, and text from outside stays text in each."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conformance import report as reports
from conformance.errors import UsageError
from conformance.records import Level, Outcome, Verdict
from conformance.report import _facts, junit, markdown, table
from conformance.report import json as record
from conformance.report.html.markup import element
from conformance.verdicts import outcome_of

FORMATS = ["html", "json", "junit", "markdown", "table"]
HOSTILE = st.text(min_size=1, max_size=60) | st.lists(
    st.sampled_from(
        [*"<>&\"'|`*_[]()#@\\\n\r\t\x00\x1b", "</pre>", "</script>", "<!--", "\u202e", "\ud800"]
    ),
    min_size=1,
).map("".join)
EVERY = "<>&\"'|`*_[]()#@\\!\n\r\t\x00\x1b</pre></script><!--\u202e\ud800"
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_the_formats_are_the_modules_of_the_folder():
    assert reports.formats() == FORMATS


def test_an_unknown_format_is_answered_with_the_nearest(golden):
    with pytest.raises(UsageError, match=r"no report format 'htm'. Did you mean 'html'"):
        reports.render(golden.golden(), "htm")


@pytest.mark.parametrize("name", FORMATS)
def test_the_outcome_stands_with_profile_and_precision(golden, name):
    text = reports.render(golden.golden(), name)
    if name == "json":
        assert '"outcome": "nonconformant"' in text
    else:
        plain = re.sub(r"<[^>]*>", "", text)
        assert "nonconformant: decoder, fp32" in plain


@pytest.mark.parametrize("name", FORMATS)
def test_every_requirement_and_verdict_is_told(golden, name):
    report = golden.golden()
    text = reports.render(report, name)
    for result in report.requirements:
        assert result.requirement.id in text
    for verdict in Verdict:
        assert verdict.name in text or verdict.name.replace("_", " ") in text


@pytest.mark.parametrize("name", ["html", "json", "markdown", "table"])
def test_what_explains_a_failure_is_told(golden, name):
    assert f"equals {golden.CAUSE}" in reports.render(golden.golden(), name)


@pytest.mark.parametrize("name", ["html", "json", "markdown", "table"])
def test_where_a_failure_begins_is_told(golden, name):
    assert golden.BEGINS in reports.render(golden.golden(), name).replace("&#95;", "_")


@pytest.mark.parametrize("name", ["html", "json", "markdown", "table"])
def test_a_model_that_a_passed_requirement_left_out_is_told(golden, name):
    assert golden.LACKING in reports.render(golden.golden(), name)


def test_a_diagnosis_without_a_place_is_read_as_one(golden):
    """As in records of before there were any."""
    document = json.loads(reports.render(golden.golden(), "json"))
    del document["diagnoses"][0]["divergence"]
    assert record.parse(json.dumps(document).encode()).diagnoses[0].divergence is None


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_writes_an_invisible_character(golden, name):
    text = reports.render(golden.golden(golden.INVISIBLE), name)
    if name != "json":  # JSON has the text as it was
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\u2028\uffff]", text)
        assert "\\u202e" in text.replace("&#92;", "\\")


@pytest.mark.parametrize("name", ["html", "markdown", "table", "junit"])
def test_a_partial_selection_says_that_it_cannot_be_conformant(golden, name):
    report = golden.conformant()
    run = dataclasses.replace(report.run, partial=True)
    partial = dataclasses.replace(report, run=run, outcome=Outcome.INCOMPLETE)
    text = reports.render(partial, name)
    assert "a partial selection cannot be conformant" in text
    assert "Every applicable MUST" not in text


@pytest.mark.parametrize("name", ["html", "markdown", "table", "junit"])
def test_a_partial_selection_that_failed_is_told_for_what_failed(golden, name):
    report = golden.golden("acme")
    partial = dataclasses.replace(report, run=dataclasses.replace(report.run, partial=True))
    text = reports.render(partial, name)
    assert "selected requirements passed" in text
    assert "a partial selection cannot be conformant" not in text


@pytest.mark.parametrize("name", ["markdown", "table"])
def test_the_models_are_told_and_which_builds_are_the_suites(golden, name):
    text = html.unescape(reports.render(golden.golden("acme"), name))
    assert "llama-gqa (build exported by the suite); model acme" in text
    without = dataclasses.replace(golden.golden("acme"), models=())
    assert "odels" not in reports.render(without, name)


@pytest.mark.parametrize("name", ["html", "markdown", "table"])
def test_a_failure_without_a_measurement_shows_no_figure_of_another_case(golden, name):
    raised = golden.case("GOLD-001", Verdict.FAIL, message="it raised")
    passed = golden.case("GOLD-001", Verdict.PASS, golden.measured(0.1234, 3.0))
    failed = golden.result(1, Verdict.FAIL, raised, passed)
    report = dataclasses.replace(golden.golden("acme"), requirements=(failed,))
    text = html.unescape(reports.render(report, name))
    summary = text.partition('class="body"')[0] if name == "html" else text
    assert "0.123" not in summary
    assert "96%" not in summary


@pytest.mark.parametrize("name", ["html", "markdown", "table", "junit"])
def test_a_waiver_is_told(golden, name):
    assert "waived" in reports.render(golden.golden(), name).lower()
    assert "waived" not in reports.render(golden.conformant(), name).lower()


def test_json_is_valid_and_comes_back_unchanged(golden):
    report = golden.golden()
    text = record.render(report)
    again = record.parse(text.encode())
    assert record.render(again) == text
    assert [r.verdict for r in again.requirements] == [r.verdict for r in report.requirements]


def test_reports_are_rendered_without_torch_pytest_and_onnx(golden, tmp_path):
    source = tmp_path / "report.json"
    source.write_text(record.render(golden.golden()), encoding="utf-8")
    program = (
        "import pathlib, sys; from conformance import report; from conformance.report import json\n"
        f"read = json.parse(pathlib.Path({str(source)!r}).read_bytes())\n"
        "print([len(report.render(read, name)) > 99 for name in report.formats()])\n"
        "print({'torch', 'pytest', 'onnx', 'hypothesis'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert ran.stdout.split("\n")[:2] == [str([True] * 5), "set()"]


class _Shape(HTMLParser):
    """The elements of a page with the names of their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements, self.words = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(name for name, _ in attrs)))

    def handle_endtag(self, tag):
        self.elements.append((f"/{tag}", ()))

    def handle_comment(self, data):
        self.elements.append(("comment", (data,)))

    def handle_data(self, data):
        self.words.append(data)


@FEW
@given(hostile=HOSTILE)
@example(hostile=EVERY)
def test_no_text_changes_the_elements_of_the_page(golden, hostile):
    expected = _Shape(reports.render(golden.golden("x"), "html")).elements
    page = reports.render(golden.golden(hostile), "html")
    assert _Shape(page).elements == expected
    page.encode()  # no lone surrogate is left


@FEW
@given(text=HOSTILE)
@example(text=EVERY)
def test_an_attribute_stays_one_attribute(text):
    page = element("a", text, title=text, hidden=True, id=None)
    assert _Shape(page).elements == [("a", ("title", "hidden")), ("/a", ())]


def test_the_page_shows_hostile_text_as_it_is(golden):
    words = "".join(_Shape(reports.render(golden.golden(), "html")).words)
    for text in (golden.SCRIPT, golden.IMAGE, golden.QUOTES, golden.CLOSERS):
        assert text in words


def test_jobs_that_took_more_than_the_run_are_told_beside_it(golden):
    """Else what the candidate took would be longer than the run that it was part of."""
    report = golden.golden()

    def told(duration):
        run = dataclasses.replace(report.run, duration=duration)
        return _facts.run_time(dataclasses.replace(report, run=run))

    together = sum(case.duration for r in report.requirements for case in r.cases)
    assert told(together + 1).startswith(f"{_facts.seconds(together + 1)}, of which candidate ")
    alone, _, shared = told(together / 2).partition(", in which its jobs took ")
    assert alone == _facts.seconds(together / 2)
    assert shared.startswith(f"{_facts.seconds(together)}, of which candidate ")


@pytest.mark.parametrize(
    ("headroom", "told"),
    [(0.5, "50%"), (0.0, "0%"), (-1.0, "2 x limit"), (-101_999.0, "102,000 x limit")],
)
def test_headroom_beyond_the_limit_is_told_in_limits(headroom, told):
    assert _facts.percent(headroom) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(5.53e-6, "5.53e-06"), (5.657, "5.66"), (203_800.0, "204,000"), (1e12, "1e+12")],
)
def test_a_number_has_three_digits_and_its_thousands(value, told):
    assert _facts.number(value) == told
    assert _facts.number(-value) == f"-{told}"


def test_a_place_that_is_not_in_the_counterexample_is_told_as_the_worst_of_all_inputs(golden):
    def told(case):
        result = golden.result(1, Verdict.FAIL, case)
        report = dataclasses.replace(golden.golden("x"), requirements=(result,))
        page = reports.render(report, "html")
        return "".join(_Shape(page[page.index('id="failures"') :]).words)

    worst = golden.measured(40.0, 3.0, where="logits[1, 1, 460]")
    failed = golden.case(
        "GOLD-001", Verdict.FAIL, worst, message="31.4 noise units (rms) at logits[0, 1, 438]"
    )
    kept = dataclasses.replace(failed, counterexample="counterexamples/GOLD-001.json")
    assert "worst of all inputs40 noise units (rms) at logits[1, 1, 460]" in told(kept)
    assert "wherelogits" not in told(kept)
    assert "wherelogits[1, 1, 460] (rms)" in told(failed)


@FEW
@given(hostile=HOSTILE)
@example(hostile=EVERY)
def test_no_text_changes_the_structure_of_the_markdown(golden, hostile):
    def structure(text):
        shape = _Shape(text).elements
        marks = Counter(c for c in text if c in "<>|`*_[]()@\\\"'!\n")
        return shape, marks

    expected = structure(markdown.render(golden.golden("x")))
    assert structure(markdown.render(golden.golden(hostile))) == expected


@FEW
@given(hostile=HOSTILE)
@example(hostile=EVERY)
def test_junit_is_well_formed_whatever_the_text(golden, hostile):
    def tags(text):
        return [element.tag for element in parsed(text).iter()]

    assert tags(junit.render(golden.golden(hostile))) == tags(junit.render(golden.golden("x")))


@FEW
@given(hostile=HOSTILE)
@example(hostile=EVERY)
def test_the_table_writes_no_terminal_escape(golden, hostile):
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", table.render(golden.golden(hostile)))


def parsed(text):
    return ET.fromstring(text)  # noqa: S314  # our own text


def looks_passed(testcase):
    return all(testcase.find(tag) is None for tag in ("failure", "error", "skipped"))


def test_junit_has_a_suite_for_each_requirement_and_one_for_the_outcome(golden):
    report = golden.golden()
    suites = parsed(junit.render(report)).findall("testsuite")
    names = [result.requirement.id for result in report.requirements]
    assert [suite.get("name") for suite in suites] == [*names, "outcome"]
    for suite in suites:
        assert int(suite.get("tests")) == len(suite.findall("testcase")) > 0
        assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("errors")) == len(suite.findall("testcase/error"))


@pytest.mark.parametrize("outcome", [Outcome.NONCONFORMANT, Outcome.INCOMPLETE])
def test_junit_tells_an_outcome_by_its_own_word(golden, outcome):
    report = dataclasses.replace(golden.golden(), outcome=outcome)
    (case,) = parsed(junit.render(report)).findall("testsuite")[-1]
    (told,) = case
    assert told.get("type") == outcome.value


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_the_table_fits_the_terminal(golden, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    results = tuple(r for r in golden.results() if r.verdict is Verdict.PASS)
    long = golden.result(15, Verdict.NOT_RUN, reason="it was not collected, or not selected " * 5)
    report = dataclasses.replace(golden.golden("acme"), requirements=(*results, long))
    lines = table.render(report).splitlines()
    assert max(map(len, lines)) <= min(columns, 140)
    assert ("Statement 2" in lines[2]) == (columns > 80)


def test_junit_tells_verdicts_by_its_own_words(golden):
    root = parsed(junit.render(golden.golden()))
    found = {
        told.get("type"): told.tag
        for told in root.iter()
        if told.tag in ("failure", "error", "skipped")
    }
    assert found == {
        "FAIL": "failure",
        "FAIL, waived": "failure",
        "ERROR": "error",
        "INCONCLUSIVE": "error",
        "NOT RUN": "error",
        "NOT APPLICABLE": "skipped",
        "nonconformant": "failure",
    }


@st.composite
def mixtures(draw, golden):
    """Return a report of any mixture of verdicts, with the outcome that the table gives it."""
    verdicts, results = st.sampled_from(Verdict), []
    for number in range(draw(st.integers(0, 4))):
        found = draw(st.lists(verdicts, max_size=3))
        cases = [golden.case(f"GOLD-{number:03d}", verdict) for verdict in found]
        verdict = max([*found, draw(verdicts)])
        level = draw(st.sampled_from(Level))
        results.append(golden.result(number, verdict, *cases, level=level))
    outcome = outcome_of(results, partial=draw(st.booleans()))
    return dataclasses.replace(golden.golden("x"), requirements=tuple(results), outcome=outcome)


@FEW
@given(data=st.data())
def test_nothing_unevaluated_looks_passed_in_junit(golden, data):
    report = data.draw(mixtures(golden))
    *suites, last = parsed(junit.render(report)).findall("testsuite")
    for result, suite in zip(report.requirements, suites, strict=True):
        told = [result.verdict, *(case.verdict for case in result.cases)]
        passed = all(map(looks_passed, suite.findall("testcase")))
        assert passed == all(verdict is Verdict.PASS for verdict in told)
    good = report.outcome in (Outcome.CONFORMANT, Outcome.CONDITIONAL)
    assert looks_passed(last.find("testcase")) == good


def test_markdown_stays_within_the_limit_of_a_job_summary_and_says_what_it_cut(golden):
    text = "|<>`" * 5_000
    results = [
        golden.result(number, Verdict.FAIL, *[golden.case("x", Verdict.FAIL, message=text)] * 20)
        for number in range(999)
    ]
    report = dataclasses.replace(golden.golden(text), requirements=tuple(results))
    page = markdown.render(report)
    assert len(page.encode()) <= markdown.LIMIT < 2**20
    assert "Cut to fit a job summary" in page
    assert page.startswith("## ")
    assert page.count("<details>") == page.count("</details>") > 0


def test_markdown_says_nothing_of_cuts_where_nothing_is_cut(golden):
    assert "Cut to fit" not in markdown.render(golden.golden())
