"""A failing check is run again with known faults in the candidate's place, and the cause named."""

from __future__ import annotations

import contextlib
import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conformance import catalogue, inputs, models, spec
from conformance.candidate import open_candidate
from conformance.checked import (
    CheckedModel,
    CheckedOperators,
    CheckedSampler,
    CheckedTokenizer,
    RememberedOracle,
)
from conformance.diagnosis import replay
from conformance.errors import ConformanceError
from conformance.records import CaseResult, Verdict

STANDARD = spec.load()
NAME = "llama-mqa-tied"
SEED, TRIED = 7, 8


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def truth():
    contract = STANDARD.contracts["fp32"]
    return RememberedOracle(models.oracle(models.suite_package(NAME), contract))


@pytest.fixture
def subject_of(truth):
    """Open a candidate as a run does, with one model of the suite."""
    with contextlib.ExitStack() as stack:

        def opened(text, wrap=lambda candidate: candidate):
            candidate = wrap(stack.enter_context(open_candidate(text)))
            package = models.suite_package(NAME)
            contract = spec.contract_of(STANDARD, candidate.info.claims)
            model = CheckedModel(
                load=candidate.load,
                package=package,
                oracle=truth,
                contract=contract,
                measure_noise=functools.partial(models.noise, package, contract),
                measure_types=functools.partial(models.type_noise, package, contract),
            )
            return SimpleNamespace(
                info=candidate.info,
                contract=contract,
                models={NAME: model},
                operators=CheckedOperators(candidate, contract),
                sampler=CheckedSampler(candidate, candidate.info.claims.sampling),
                tokenizer=CheckedTokenizer(candidate, candidate.info.claims),
            )

        yield opened


def failures(subject, requirement):
    """Yield each case of a requirement that fails, with the inputs that it fails on."""
    known = {
        "operators": subject.operators,
        "model": subject.models[NAME],
        "sampler": subject.sampler,
        "tokenizer": subject.tokenizer,
    }
    for check in catalogue.deciding(requirement):
        ids = check.cases([NAME] if check.per_model else [""])
        for case, parameters in zip(ids, check.parametrisations(), strict=True):
            fixtures = {n: v for n, v in known.items() if n in check.arguments()}
            given = {**fixtures, **parameters}
            for drawn in inputs.examples(check.function, given, TRIED, SEED):
                try:
                    check.original(**given, **drawn)
                except ConformanceError:
                    yield CaseResult(case, requirement, Verdict.FAIL, 0.0), drawn


@pytest.mark.parametrize(
    ("name", "requirement", "unit"),
    [
        ("scale-missing", "ATTN-006", "bounds"),
        ("softmax-without-maximum", "SOFTMAX-001", "bounds"),
        ("cache-puts-new-values-first", "CACHE-001", "times the largest honest noise"),
        ("top-p-before-top-k", "SAMPLE-012", "bounds"),
        ("stream-repeats-a-character", "TOK-015", "bounds"),
    ],
)
def test_the_fault_of_a_failing_check_is_named_first(name, requirement, unit, subject_of):
    subject = subject_of(f"mutant:{name}")
    case, drawn = next(failures(subject, requirement))
    found = replay.diagnose(subject, case, drawn)
    assert found.causes[0] == name
    assert found.distance <= replay._WITHIN
    assert found.unit == unit
    assert found.case == case.id
    assert f"equal those of {name!r}" in found.text


def test_a_fault_that_nobody_knows_is_not_given_a_name(subject_of):
    def wrap(honest):
        def operator(call):
            return {n: np.flip(y) for n, y in honest.operator(call).items()}

        return SimpleNamespace(info=honest.info, load=honest.load, operator=operator)

    subject = subject_of("pytorch", wrap)
    case, drawn = next(failures(subject, "SOFTMAX-001"))
    assert replay.diagnose(subject, case, drawn) is None


def test_an_answer_that_is_right_when_asked_again_is_not_explained(subject_of):
    case, drawn = next(failures(subject_of("mutant:scale-missing"), "ATTN-006"))
    assert replay.diagnose(subject_of("pytorch"), case, drawn) is None
