"""A report of two candidates, and several reports side by side, in every format."""

from __future__ import annotations

import dataclasses
import html
import math
import re

import pytest

from conformance import report as reports
from conformance.errors import UsageError
from conformance.records import Distance, SideBySide, Verdict
from conformance.report import _facts, _several
from conformance.report import json as record

SEVERAL = ["html", "markdown", "table"]


def plain(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", text))


@pytest.mark.parametrize("name", ["html", "json", "junit", "markdown", "table"])
def test_both_candidates_are_named(golden, name):
    text = reports.render(golden.of_two("acme"), name)
    assert "second acme" in plain(text)


def test_the_second_candidate_is_read_back_as_it_was(golden):
    report = golden.of_two()
    assert record.parse(record.render(report).encode()).against == report.against
    assert record.parse(record.render(golden.golden()).encode()).against is None


def test_the_outcome_is_told_with_both_precisions(golden):
    assert _facts.outcome(golden.of_two()).endswith("decoder, fp32, against bf16")


def test_the_page_of_two_has_the_contract_and_the_noise_units_of_each(golden):
    text = plain(reports.render(golden.of_two("acme"), "html"))
    assert "Its precision contract" in text
    assert "Models, for the second candidate" in text


FAR, NONE = Distance(14.0, model="llama-gqa", unit_of="fp32"), Distance(0.0)


def side_by_side(golden, hostile="acme", apart=FAR):
    one, other = golden.golden(hostile), golden.conformant()
    other = dataclasses.replace(other, requirements=one.requirements)
    exact = Distance(1.04), Distance(14.0)
    return SideBySide((one, other), exact, ((NONE, apart), (apart, NONE)))


@pytest.mark.parametrize("name", SEVERAL)
def test_every_candidate_requirement_and_distance_stands_on_the_page(golden, name):
    runs = side_by_side(golden)
    text = plain(reports.render_several(runs, name)).replace("&#45;", "-")
    for result in runs.reports[0].requirements:
        assert result.requirement.id in text
    for figure in ("14", "1.04", "nonconformant", "conformant"):
        assert figure in text
    for verdict in Verdict:
        assert verdict.name.replace("_", " ") in text


@pytest.mark.parametrize("name", SEVERAL)
def test_what_was_not_measured_has_its_reason_and_no_number(golden, name):
    lost = Distance(math.nan, "none kept")
    two = side_by_side(golden)
    three = SideBySide(
        (*two.reports, two.reports[0]),
        (*two.exact, lost),
        ((NONE, FAR, lost), (FAR, NONE, lost), (lost, lost, NONE)),
    )
    text = reports.render_several(three, name)
    assert text.count("none kept") >= 1
    assert "\N{EN DASH}" in text


@pytest.mark.parametrize("name", SEVERAL)
def test_without_any_distance_the_reason_is_told_once(golden, name):
    nothing = side_by_side(golden, apart=Distance(math.nan, "profile x has no models"))
    text = plain(reports.render_several(nothing, name))
    assert text.count("profile x has no models") == 1


@pytest.mark.parametrize("name", SEVERAL)
def test_text_from_outside_stays_text_side_by_side(golden, name):
    hostile = f"{golden.SCRIPT} {golden.IMAGE} {golden.QUOTES} {golden.CLOSERS}"
    text = reports.render_several(side_by_side(golden, hostile), name)
    if name != "table":
        assert "<script" not in text
        assert "<img" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\u2028\uffff]", text)


def test_the_page_of_several_lets_no_script_run(golden):
    text = reports.render_several(side_by_side(golden), "html")
    assert "script-src 'none'" in html.unescape(text)
    assert "<script" not in text


@pytest.mark.parametrize("name", ["json", "junit"])
def test_a_format_of_one_run_says_which_tell_of_several(golden, name):
    with pytest.raises(UsageError, match="html, markdown, table"):
        reports.render_several(side_by_side(golden), name)


def test_two_runs_of_one_candidate_are_numbered(golden):
    runs = side_by_side(golden)
    twice = dataclasses.replace(runs, reports=(runs.reports[1],) * 2)
    assert [name[-2:] for name in _several.names(twice)] == ["#1", "#2"]


def test_the_colours_begin_where_honest_candidates_end():
    steps = [_several.heat(Distance(units)) for units in (0.9, 1.6, 3.0, 50.0, 2e3, 5e5, 1e9)]
    assert steps == sorted(steps)
    assert (steps[0], steps[1], steps[-1]) == (0, 1, 6)
    assert _several.heat(Distance(math.nan)) == 6
    assert _several.heat(Distance(math.nan, "not kept")) is None
