"""In which type a candidate computes: told in words, and judged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from conformance import evidence, fingerprint, judge, spec
from conformance.errors import Nonconformity
from conformance.oracles.comparison import Comparison
from conformance.oracles.matched_filter import Strength

NOISE = {"fp32": 1e-6, "tf32": 1.4e-3, "fp16": 1.9e-3, "bf16": 1.6e-2}
CONTRACTS = spec.load().contracts


def units(error):
    return {name: error / rms for name, rms in NOISE.items()}


@pytest.mark.parametrize(
    ("error", "claimed", "words"),
    [
        (1.03e-6, "fp32", "computes in float32: 1.03 units of its noise, 0.0000644 of bfloat16's"),
        (1.5e-2, "fp32", "claims fp32, computes in bfloat16: 0.938 units of its noise, 15,000 of"),
        (1.5e-2, "bf16", "computes in bfloat16: 0.938 units of its noise, 7.89 of float16's"),
        (1.6e-3, "fp16", "computes in float16: 0.842 units of its noise, 0.100 of bfloat16's"),
        (1.6e-3, "fp32", "claims fp32, computes in TF32 or float16: 1.14 units of its noise"),
        (1e-7, "fp32", "claims fp32, errs less than its type rounds: 0.100 units of float32's"),
        (1e-4, "fp32", "claims fp32, errs like no type: 100 units of float32's noise, 0.00625"),
        (1.0, "fp32", "errs by more than the rounding of any type: 62.5 units of bfloat16's"),
        (0.0, "fp32", "errs less than its type rounds: 0 units of float32's noise"),
        (math.nan, "fp32", "its answer is not finite, and tells no type"),
    ],
)
def test_the_words_name_the_type_and_the_figures(error, claimed, words):
    assert words in fingerprint.told(units(error), claimed)


def answer(error):
    square = np.full(10, error**2)
    return Comparison(square, square, square, square, Strength(0.0, 1.0, 10))


def judged(error, claimed):
    with evidence.collect() as sink:
        judge.in_its_type(answer(error), NOISE, CONTRACTS[claimed])
    return {one.metric: one for one in sink.measurements}


def test_every_precision_is_recorded_and_types_no_narrower_than_the_claimed_have_no_limit():
    found = judged(1.9e-3, "fp16")
    assert [name.removeprefix(fingerprint.METRIC) for name in found] == list(NOISE)
    limits = {name[-4:]: one.limit for name, one in found.items()}
    assert limits == {"fp32": math.inf, "tf32": math.inf, "fp16": 2.0, "bf16": 0.5}


@pytest.mark.parametrize("narrow", ["tf32", "fp16", "bf16"])
def test_computing_in_a_narrower_type_than_the_claimed_is_refused_in_words(narrow):
    with pytest.raises(Nonconformity, match=f"computes in .*{fingerprint.TYPES[narrow]}"):
        judged(NOISE[narrow], "fp32")


@pytest.mark.parametrize("claimed", ["fp32", "fp16", "bf16"])
def test_computing_in_the_claimed_type_is_accepted(claimed):
    assert judged(NOISE[claimed], claimed)


@pytest.mark.parametrize("error", [math.nan, math.inf])
def test_an_error_that_is_no_number_is_refused(error):
    with pytest.raises(Nonconformity, match="tells no type"):
        judged(error, "fp32")


def test_every_precision_of_the_standard_has_its_type():
    assert set(fingerprint.TYPES) == set(CONTRACTS)
