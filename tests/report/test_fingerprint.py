"""The precision fingerprint in every format that shows it."""

from __future__ import annotations

import dataclasses
import re

import pytest

from conformance import report as reports
from conformance.records import Verdict
from conformance.report import _fingerprint

HONEST = "computes in float32: 1.03 units of its noise, 0.0000644 of bfloat16's"
NARROW = "claims fp32, computes in bfloat16: 0.938 units of its noise, 15,000 of float32's"


def only(report, *cases):
    """Return the report with one fingerprinted requirement that has some of its cases."""
    (last,) = (r for r in report.requirements if r.requirement.id == "GOLD-015")
    kept = dataclasses.replace(last, cases=tuple(last.cases[i] for i in cases))
    return dataclasses.replace(report, requirements=(kept,))


@pytest.mark.parametrize("name", ["markdown", "table"])
def test_the_type_is_told_in_one_line(golden, name):
    text = " ".join(reports.render(only(golden.golden("acme"), 0), name).split())
    words = HONEST.replace("'", "&#39;").replace(":", "&#58;") if name == "markdown" else HONEST
    assert words in text


def test_models_that_agree_are_told_by_the_furthest_and_others_apart(golden):
    report = only(golden.golden("acme"), 0, 0, 1)
    told = _fingerprint.summary(report)
    assert f"{HONEST} (llama-gqa, the furthest of 2 models); {NARROW}" in told


def test_each_model_has_a_ruler_for_each_screen_and_its_words(golden):
    page = reports.render(only(golden.golden("acme"), 0), "html")
    section = page[page.index('id="fingerprint"') : page.index('id="requirements"')].split(
        'id="headroom"'
    )[0]
    assert section.count("<svg") == 3
    plain = re.sub(r"<[^>]*>", "", section).replace("&#x27;", "'")
    assert plain.count(HONEST) == 1 + 3, "the caption, and the description of each drawing"
    for name in ("float32", "TF32", "float16", "bfloat16", "limit 3", "candidate 1.03"):
        assert plain.count(name) >= 3


def test_the_candidate_stands_where_the_noise_of_its_type_does(golden):
    page = reports.render(only(golden.golden("acme"), 1), "html")
    wide = page[page.index('<svg class="wide"') :]
    mark = re.search(r'<path d="M([\d.]+) ', wide)
    types = re.findall(r'<line x1="([\d.]+)"[^>]*class="type"', wide)
    limit = re.search(r'<line x1="([\d.]+)"[^>]*class="limit"', wide)
    assert mark is not None
    assert limit is not None
    here = float(mark[1]) + 6.5
    nearest = min(map(float, types), key=lambda x: abs(x - here))
    assert nearest == max(map(float, types)), "that of bfloat16 is the rightmost"
    assert float(limit[1]) < here


def test_an_answer_that_is_no_number_has_words_and_no_ruler(golden):
    page = reports.render(only(golden.golden("acme"), 2), "html")
    section = page[page.index('id="fingerprint"') :]
    assert "tells no type" in section
    assert "<svg" not in section.split('id="headroom"')[0]


@pytest.mark.parametrize("name", ["html", "markdown", "table"])
def test_without_a_fingerprint_nothing_is_said_of_it(golden, name):
    report = golden.golden("acme")
    bare = dataclasses.replace(report, requirements=report.requirements[:2])
    text = reports.render(bare, name).lower()
    assert "computes in" not in text
    assert "fingerprint" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)


def test_an_exact_answer_is_told_and_not_drawn(golden):
    report = only(golden.golden("acme"), 0)
    (result,) = report.requirements
    exact = [dataclasses.replace(m, observed=0.0) for m in result.cases[0].measurements]
    case = dataclasses.replace(result.cases[0], measurements=tuple(exact), verdict=Verdict.PASS)
    (found,) = _fingerprint.fingerprints(
        dataclasses.replace(report, requirements=(dataclasses.replace(result, cases=(case,)),))
    )
    assert not found.drawable
    assert "errs less than its type rounds" in found.told
