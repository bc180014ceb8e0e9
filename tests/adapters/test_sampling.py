"""Candidates that choose tokens: the forms of their answers, in their process and in another."""

from __future__ import annotations

import numpy as np
import pytest

from conformance import judge
from conformance.adapters import _transformers_sampling as own
from conformance.candidate import open_candidate
from conformance.checked import CheckedSampler
from conformance.errors import CandidateFault, CandidateRaised, MalformedOutput, Nonconformity
from conformance.oracles.sampling import distributions
from conformance.records import (
    CandidateInfo,
    Claims,
    SamplingCall,
    SamplingParameters,
    SamplingPolicy,
)
from conformance.worker import isolated
from conformance.worker.sampling import call_in, policy_in, told

CANDIDATES = ("reference", "mutant", "transformers")
PARAMETERS = (
    SamplingParameters(),
    SamplingParameters(0.0),
    SamplingParameters(0.7, 5, 0.9, 0.05, 1.3),
    SamplingParameters(repetition_penalty=1.2, logit_bias=((3, 2.0), (0, -1.0))),
)
CALL = SamplingCall(
    np.random.default_rng(0).normal(0, 2, (4, 20)).astype(np.float32),
    ((1, 2), (), (3, 3, 4), (5,)),
    ((), (6,), (7, 3), (0, 0)),
    PARAMETERS,
)


@pytest.fixture(scope="module", params=CANDIDATES)
def candidate(request):
    with open_candidate(request.param) as opened:
        yield opened


def test_shares_are_those_of_the_declared_policy(candidate):
    found = candidate.process(CALL)
    assert found.dtype == np.float32
    expected = distributions(CALL, candidate.info.claims.sampling)
    assert expected.decided
    assert (np.abs(found - expected.value_BV) <= expected.bound_BV).all()


def test_draws_are_tokens_of_the_support_and_repeat_with_their_seed(candidate):
    found = candidate.sample(CALL, 7, 300)
    assert (found.dtype, found.shape) == (np.int64, (4, 300))
    shares = distributions(CALL, candidate.info.claims.sampling).value_BV
    assert (np.take_along_axis(shares, found, axis=1) > 0).all()
    assert np.array_equal(candidate.sample(CALL, 7, 300), found)
    assert not np.array_equal(candidate.sample(CALL, 8, 300), found)


def test_transformers_draws_one_at_a_time_in_pieces(monkeypatch):
    whole = own.sample(CALL, 3, 50)
    monkeypatch.setattr(own, "_AT_ONCE", 400)  # five draws of four rows of twenty tokens
    pieces = own.sample(CALL, 3, 50)
    assert pieces.shape == whole.shape
    assert (pieces[1] == whole[1]).all(), "greedy"


@pytest.mark.parametrize("name", ["reference", "transformers"])
def test_another_process_answers_the_same(name):
    with open_candidate(name) as here, isolated(name) as there:
        assert there.info.claims == here.info.claims
        assert np.array_equal(there.process(CALL), here.process(CALL))
        assert np.array_equal(there.sample(CALL, 5, 40), here.sample(CALL, 5, 40))


def test_a_call_survives_its_way_between_processes():
    back = call_in(*told(CALL))
    assert back.logits_BV is CALL.logits_BV
    assert (back.prompts, back.generated) == (CALL.prompts, CALL.generated)
    assert back.parameters == CALL.parameters


POLICY = SamplingPolicy().document()
WRONG = (
    [],
    {},
    {**POLICY, "order": "temperature"},
    {**POLICY, "order": [1]},
    {**POLICY, "last_tokens": "all"},
    {**POLICY, "more": 1},
)


@pytest.mark.parametrize("document", WRONG, ids=str)
def test_a_malformed_policy_of_another_process_is_refused(document):
    with pytest.raises(MalformedOutput, match="policy is malformed"):
        policy_in(document)


def test_a_policy_survives_its_document():
    assert policy_in(None) is None
    one = SamplingPolicy(("temperature", "top_k"), "all", "generated", "all", 64)
    assert policy_in(one.document()) == one


class Broken:
    """Answers what it is told to answer."""

    info = CandidateInfo("broken", "1", "none", "none", Claims(frozenset({"sampling"})))

    def __init__(self, answer):
        self.answer = answer

    def process(self, call):
        call.logits_BV[:] = 0  # a candidate may write to its inputs
        return self.answer

    def sample(self, *_):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "probabilities is a NoneType"),
        (np.zeros((4, 20)), "has type float64"),
        (np.zeros((4, 19), np.float32), "has shape"),
    ],
)
def test_shares_of_another_form_are_the_candidates_fault(answer, words):
    with pytest.raises(CandidateFault, match=words):
        CheckedSampler(Broken(answer), None).process(CALL)
    assert CALL.logits_BV.any()


@pytest.mark.parametrize(
    "answer", [[1], np.zeros((4, 3)), np.zeros((4, 2), np.int64), np.zeros((4, 3), np.int32)]
)
def test_draws_of_another_form_are_the_candidates_fault(answer):
    with pytest.raises(MalformedOutput, match="tokens"):
        CheckedSampler(Broken(answer), None).draw(CALL, 0, 3)


def test_a_claimed_method_that_is_missing_is_the_candidates_fault():
    sampler = CheckedSampler(object(), None)
    with pytest.raises(CandidateRaised, match="claims 'sampling', but its object has no method"):
        sampler.draw(CALL, 0, 3)
    with pytest.raises(CandidateRaised, match="claims 'distributions'"):
        sampler.process(CALL)


def test_streams_never_draw_a_seed_twice():
    seeds = []

    class Noting(Broken):
        def sample(self, _, seed, draws):
            seeds.append(seed)
            return np.zeros((4, draws), np.int64)

    sampler = CheckedSampler(Noting(None), None)
    stream, firsts = sampler.stream(CALL, 10, step=100), sampler.firsts(CALL, 500)
    stream(5)
    stream(20)
    assert firsts(3).shape == (4, 3)
    firsts(2)
    assert seeds == [10, 110, 500, 501, 502, 503, 504]


ORDERS = {
    "another order": SamplingPolicy(order=tuple(reversed(SamplingPolicy().order))),
    "other ties": SamplingPolicy(top_k_ties="all"),
    "a prompt that counts": SamplingPolicy(presence_sees="all"),
    "a prompt that does not": SamplingPolicy(repetition_sees="generated"),
    "the last tokens": SamplingPolicy(last_tokens=3),
}
DECLARED = SamplingCall(
    np.array([[2.0, 1.0, 1.0, 0.5, -1.0, -2.0]], np.float32),
    ((0, 4, 4),),
    ((1, 5, 1, 5),),
    (SamplingParameters(0.6, 2, 0.97, 0.0, 1.3, 0.7, 0.2),),
)


@pytest.mark.parametrize("name", ORDERS)
def test_a_runtime_that_does_otherwise_than_it_declares_fails(name):
    with open_candidate("mutant") as honest:
        sampler = CheckedSampler(honest, ORDERS[name])
        one = DECLARED
        if name == "other ties":
            one = SamplingCall(DECLARED.logits_BV, ((),), ((),), (SamplingParameters(top_k=2),))
        assert sampler.expected(one).decided
        with pytest.raises(Nonconformity):
            judge.same_shares(sampler.process(one), sampler.expected(one))
        as_it_does = CheckedSampler(honest, None)
        judge.same_shares(as_it_does.process(one), as_it_does.expected(one))
