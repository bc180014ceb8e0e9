"""The readable text of the standard is in step with the standard, and leaves nothing out."""

from __future__ import annotations

import pytest

from conformance import catalogue, judge, spec, spec_text
from conformance.explanation import ORACLES
from conformance.records import Oracle, Outcome, Verdict
from conformance.tolerances import TOLERANCES

SPEC = spec.load()
TEXT = spec_text.text()


def test_the_text_is_what_the_data_makes_of_it():
    written = spec_text.FILE.read_text(encoding="utf-8")
    assert written == TEXT, f"{spec_text.FILE.name} is stale: run `{spec_text.COMMAND}`"


@pytest.mark.parametrize("name", SPEC.requirements)
def test_a_requirement_stands_there_with_all_that_is_known_of_it(name):
    requirement = SPEC.requirements[name]
    start = TEXT.index(f"#### {name}\n")
    clause = TEXT[start : TEXT.find("\n#", start + 1)]
    for part in (requirement.level, requirement.statement, requirement.source, requirement.oracle):
        assert part in clause
    assert all(need in clause for need in requirement.needs)
    assert all(check.name in clause for check in catalogue.deciding(name))
    if requirement.untestable is None:
        assert "\n- Tolerance" in clause
        assert "\n- Basis: " in clause
    if requirement.operator is not None:
        operator, _, version = requirement.operator.partition("-")
        assert f"[{operator}](" in clause
        assert f"version {version}" in clause


@pytest.mark.parametrize("check", catalogue.all_checks(), ids=lambda check: check.name)
def test_every_check_takes_its_limit_from_a_judge_whose_basis_is_written_down(check):
    assert check.judges()
    assert set(check.judges()) <= set(TOLERANCES), "add a row to conformance/tolerances.py"


@pytest.mark.parametrize("name", TOLERANCES)
def test_every_basis_is_that_of_a_judge_in_use(name):
    assert callable(getattr(judge, name))
    assert any(name in check.judges() for check in catalogue.all_checks())


def test_the_tables_have_every_word():
    assert set(spec_text.VERDICTS) == set(Verdict)
    assert set(spec_text.OUTCOMES) == set(Outcome)
    assert set(ORACLES) == set(Oracle)


def test_every_contract_stands_there_with_its_basis():
    for contract in SPEC.contracts.values():
        assert contract.basis in TEXT


def test_every_link_inside_the_text_leads_somewhere():
    anchors = {
        line.lstrip("# ").lower().replace(" ", "-")
        for line in TEXT.splitlines()
        if line.startswith("#")
    }
    targets = {part.partition(")")[0] for part in TEXT.split("](#")[1:]}
    assert targets <= anchors
