"""What is asked of generation, what may come back, and who judges it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from conformance import judge, models, spec
from conformance.candidate import open_candidate
from conformance.checked import CheckedModel
from conformance.checked.generation import generate, generate_or_refuse
from conformance.errors import CandidateRaised, MalformedOutput, Nonconformity, Refused
from conformance.oracles.generation import Choices, choices, forced
from conformance.records import Continuation, GenerationRequest, NoiseUnit
from conformance.worker import generation as frames
from conformance.worker import isolated
from conformance.worker.wire import Message

FP32 = spec.load().contracts["fp32"]
UNIT = NoiseUnit(rms=1e-3, max=1e-2, spread=0.0, members=8, positions=298, contract="fp32")
REQUEST = GenerationRequest(((1, 2), (3,)), 3, logprobs=True)
ROW = Continuation((4, 5, 6), "length", (-0.5, -0.25, -1.0))


class Answering:
    """A model that answers what it is told to, whatever is asked."""

    def __init__(self, answer):
        self.answer = answer

    def generate(self, request):
        del request
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(scope="module")
def checked():
    package = models.suite_package("trained-bytes")

    def make(answer):
        return CheckedModel(
            lambda _: Answering(answer), package, None, FP32, lambda: None, dict, who=""
        )

    return make


def told(gaps, margins=None, logprobs=None):
    count = len(gaps)
    margins = margins or [1.0] * count
    logprobs = logprobs or [-0.5] * count
    rows = tuple(f"row {i}" for i in range(count))
    return Choices(*map(np.array, (gaps, margins, logprobs, [1e-6] * count)), rows)


def test_an_answer_of_the_right_form_is_taken(checked):
    assert generate(checked([ROW, ROW]), REQUEST) == (ROW, ROW)


def test_log_probabilities_that_nobody_asked_for_are_dropped(checked):
    request = dataclasses.replace(REQUEST, logprobs=False)
    assert generate(checked([ROW, ROW]), request)[0].logprobs is None


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [ROW],
        [ROW, ROW, ROW],
        [ROW, "text"],
        [ROW, dataclasses.replace(ROW, tokens=(4, 5, 259))],
        [ROW, dataclasses.replace(ROW, tokens=(4, 5, -1))],
        [ROW, dataclasses.replace(ROW, tokens=(4, 5, 6.0))],
        [ROW, dataclasses.replace(ROW, tokens=(True, 5, 6))],
        [ROW, dataclasses.replace(ROW, tokens=np.array([4, 5, 6]))],
        [ROW, dataclasses.replace(ROW, finish="eos")],
        [ROW, dataclasses.replace(ROW, logprobs=None)],
        [ROW, dataclasses.replace(ROW, logprobs=(-0.5,))],
        [ROW, dataclasses.replace(ROW, logprobs=(None, -0.5, -0.5))],
        [ROW, dataclasses.replace(ROW, logprobs=5.0)],
    ],
)
def test_an_answer_of_another_form_is_the_candidates_fault(checked, answer):
    with pytest.raises(MalformedOutput):
        generate(checked(answer), REQUEST)


def test_a_refusal_is_a_fault_where_nothing_may_be_refused(checked):
    refusing = checked(Refused("no"))
    assert generate_or_refuse(refusing, REQUEST) is None
    with pytest.raises(Refused):
        generate(refusing, REQUEST)


def test_what_is_raised_instead_is_no_refusal(checked):
    with pytest.raises(CandidateRaised):
        generate_or_refuse(checked(ValueError("no")), REQUEST)


def test_tokens_within_the_noise_of_the_best_are_excused():
    judge.chosen_greedily(told([0.0] * 20), UNIT, FP32)
    judge.chosen_greedily(told([0.0] * 19 + [0.001], [1.0] * 19 + [0.001]), UNIT, FP32)


@pytest.mark.parametrize(
    "wrong",
    [
        told([0.0] * 19 + [0.081]),  # too far behind
        told([0.001] * 9, [0.01] * 9),  # more than the margins let noise make
        told([0.0] * 19 + [0.03], [1.0] * 19 + [0.03]),  # within reach, and its margin is clear
        told([math.nan, 0.0]),
        told([]),  # nothing was judged
    ],
)
def test_other_tokens_are_not(wrong):
    with pytest.raises(Nonconformity):
        judge.chosen_greedily(wrong, UNIT, FP32)


def test_log_probabilities_may_be_off_by_the_noise_and_no_more():
    exact = told([0.0, 0.0], logprobs=[-0.5, -1.0])
    for off, right in ((0.0, True), (0.079, True), (0.081, False), (math.nan, False)):
        found = [Continuation((1, 2), "length", (-0.5, -1.0 + off))]
        if right:
            judge.same_logprobs(exact, found, UNIT, FP32)
        else:
            with pytest.raises(Nonconformity):
                judge.same_logprobs(exact, found, UNIT, FP32)


def test_log_probabilities_of_text_are_exact_on_average():
    exact = told([0.0] * 80, logprobs=[-0.5] * 80)
    for off, right in ((2.9e-3, True), (3.1e-3, False), (math.nan, False)):  # and 1e-6
        found = [Continuation((1,) * 80, "length", (-0.5 + off,) * 80)]
        if right:
            judge.same_logprobs_of_text(exact, found, UNIT, FP32)
        else:
            with pytest.raises(Nonconformity):
                judge.same_logprobs_of_text(exact, found, UNIT, FP32)


def test_only_a_refusal_is_refused():
    judge.refused(None)
    with pytest.raises(Nonconformity):
        judge.refused([])


def test_a_request_and_its_answer_cross_the_pipe_unchanged():
    request = GenerationRequest(((1, 2), (), (3,)), 7, (8, 9), ((4, 5), (6,)), logprobs=True)
    assert frames.request_of(*frames.told(request)) == request
    found = [ROW, Continuation((), "length"), Continuation((7,), "stop", (-0.0,))]
    assert frames.continuations_of(frames.answer(found)) == found


@pytest.mark.parametrize(
    "message",
    [
        Message({}),
        Message({"finish": ["stop"]}),
        Message({"finish": ["stop"]}, {"tokens.0": np.zeros(2)}),
        Message({"finish": ["stop"]}, {"tokens.0": np.zeros((1, 2), np.int64)}),
        Message({"finish": []}, {"tokens.0": np.zeros(2, np.int64)}),
        Message({"finish": [1]}, {"tokens.0": np.zeros(2, np.int64)}),
    ],
)
def test_a_child_that_answers_something_else_is_not_believed(message):
    with pytest.raises(MalformedOutput):
        frames.continuations_of(message)


@pytest.mark.parametrize(
    "found", [None, [1], [Continuation(("a",), "stop")], [Continuation(np.array([1]), "stop")]]
)
def test_a_child_sends_nothing_but_continuations(found):
    with pytest.raises(MalformedOutput):
        frames.answer(found)


def test_an_isolated_candidate_answers_what_it_does_in_the_suite():
    package = models.suite_package("trained-bytes")
    request = GenerationRequest((tuple(b"The red fox "), tuple(b"7, 8, 9")), 8, logprobs=True)
    with open_candidate("pytorch") as here:
        expected = here.load(package).generate(request)
    with isolated("pytorch") as there:
        model = there.load(package)
        assert model.generate(request) == expected
        with pytest.raises(Refused):
            model.generate(dataclasses.replace(request, prompts=((),)))


@pytest.mark.parametrize(
    "name", ["reference", "pytorch", "transformers:eager", "transformers:sdpa"]
)
def test_adapters_that_claim_it_agree_on_tokens_and_ends(name):
    if name.startswith("transformers"):
        pytest.importorskip("transformers")
    package = models.suite_package("trained-bytes")
    prompts = tuple(tuple(text.encode()) for text in ("The red fox ", "猫は毎", "7"))
    request = GenerationRequest(prompts, 12, logprobs=True)
    with open_candidate("pytorch") as usual, open_candidate(name) as candidate:
        assert "generation" in candidate.info.claims.capabilities
        known, model = usual.load(package), candidate.load(package)
        free = known.generate(request)
        stops = (free[1].tokens[2:5], free[0].tokens[5:9])
        asked = dataclasses.replace(request, stop_sequences=stops, eos_ids=(free[2].tokens[6],))
        expected, found = known.generate(asked), model.generate(asked)
    assert [one.tokens for one in found] == [one.tokens for one in expected]
    assert [one.finish for one in found] == [one.finish for one in expected]
    assert "stop" in {one.finish for one in found}
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one.logprobs, other.logprobs, atol=1e-4)


def test_the_exact_model_agrees_with_the_loop_that_it_judges():
    package = models.suite_package("trained-bytes")
    request = GenerationRequest((tuple(b"We have "), tuple(b"1")), 16, logprobs=True)
    with open_candidate("pytorch?dtype=float64") as candidate:
        found = candidate.load(package).generate(request)
    batch = forced(request.prompts, found)
    at_BT = np.maximum(batch.mask_BT.cumsum(1) - 1, 0)
    exact_BTV = models.oracle(package, FP32).logits(batch.ids_BT, batch.mask_BT, at_BT)
    told = choices(batch, exact_BTV, FP32)
    assert not told.gap_N.any()
    assert np.allclose(told.logprob_N, [x for one in found for x in one.logprobs], atol=1e-10)
