"""Drawn inputs: a failing one is made smaller, unless trying again costs a process."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import strategies as st

from conformance import evidence, inputs
from conformance.errors import CandidateCrashed, CandidateRaised, CandidateTimeout


def drawing(error, asked):
    """Return a check that fails on every number above 3 and keeps the numbers that it was given."""

    @inputs.given(number=lambda: st.integers(0, 1000))
    def check(number):
        asked.append(number)
        if number > 3:
            raise error("as it happens")

    return check


def ended(check):
    with evidence.collect() as sink, pytest.raises(Exception) as caught:  # noqa: PT011  # any
        check()
    return sink, caught.value


def test_a_check_that_passes_is_given_twenty_inputs():
    asked = []

    @inputs.given(number=lambda: st.integers(0, 1000))
    def check(number):
        asked.append(number)

    check()
    assert len(asked) == 20


def test_a_check_whose_inputs_hold_many_cases_says_how_many_it_is_given():
    asked = []

    @inputs.given(3, number=lambda: st.integers(0, 1000))
    def check(number):
        asked.append(number)

    check()
    assert len(asked) == 3
    assert len(inputs.examples(check, {}, 8, 1)) == 3
    assert len(inputs.examples(check, {}, 2, 1)) == 2


@pytest.mark.parametrize("error", [CandidateCrashed, CandidateTimeout])
def test_an_input_that_ends_the_process_is_given_once_and_is_the_counterexample(error):
    asked = []
    sink, raised = ended(drawing(error, asked))
    assert type(raised) is error, "the same fault when hypothesis asks again: not flaky"
    assert [number for number in asked if number > 3] == asked[-1:]
    assert sink.inputs == {"number": asked[-1]}


def test_an_input_that_fails_otherwise_is_made_smaller():
    asked = []
    sink, raised = ended(drawing(CandidateRaised, asked))
    assert type(raised) is CandidateRaised
    assert sink.inputs == {"number": 4}


@pytest.mark.parametrize("seed", range(8))
def test_a_death_while_an_input_is_made_smaller_ends_the_search(seed):
    asked = []

    @inputs.given(number=lambda: st.integers(0, 1000))
    def check(number):
        asked.append(number)
        if number > 3:
            raise (CandidateCrashed if number % 2 else CandidateRaised)("as it happens")

    inputs.seed(check, str(seed))
    _, raised = ended(check)
    assert isinstance(raised, CandidateCrashed | CandidateRaised), "not flaky"
    assert len([n for n in asked if n > 3 and n % 2]) <= 1


@pytest.mark.parametrize(
    ("window", "most", "told"), [(0, 272, False), (13, 27, False), (4096, 272, True)]
)
def test_rows_fill_a_window_or_the_report_says_that_none_does(window, most, told):
    model = SimpleNamespace(window=window, max_positions=8192, vocab=64)

    @inputs.given(tokens_BT=inputs.wrapping_rows)
    def check(model, tokens_BT):
        """Look at nothing: what is drawn is."""

    with evidence.collect() as sink:
        drawn = inputs.examples(check, {"model": model}, 20, 1)
    assert max(one["tokens_BT"].shape[1] for one in drawn) == most
    assert any("not evaluated" in note for note in sink.notes) is told
