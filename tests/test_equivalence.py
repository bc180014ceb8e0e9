"""Two candidates: each by the exact answer, the difference by both, and who of them moved."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from conformance import evidence, judge, plan, spec
from conformance.errors import Nonconformity, UsageError
from conformance.inputs.operators.pairs import of_each
from conformance.judge import Side
from conformance.judge.end_to_end import budget, chances
from conformance.oracles.corpus import Corpus
from conformance.oracles.standard import Expected
from conformance.records import Claims, NoiseUnit, OperatorCall, Verdict
from conformance.selection import Selection
from conformance.subject import open_subject

SPEC = spec.load()
FP32, BF16 = SPEC.contracts["fp32"], SPEC.contracts["bf16"]
UNIT = NoiseUnit(rms=1e-6, max=5e-6, spread=0.02, members=8, positions=24, contract="fp32")
WIDE = dataclasses.replace(UNIT, rms=1e-3, max=5e-3, contract="bf16")
EXACT = np.linspace(-3, 3, 4 * 6 * 10).reshape(4, 6, 10)


def off(units: float, seed: int = 0, unit: NoiseUnit = UNIT) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(EXACT.shape)
    return EXACT + noise * units * unit.rms / math.sqrt(np.square(noise).mean())


def side(observed: np.ndarray, name: str = "acme", **changes: object) -> Side:
    return dataclasses.replace(Side(name, observed, EXACT, UNIT, FP32), **changes)


def measured(sides: tuple[Side, Side]) -> dict[str, tuple[float, float]]:
    with evidence.collect() as sink:
        judge.both_within_noise(sides)
    return {m.metric: (m.observed, m.limit) for m in sink.measurements}


def test_each_is_judged_by_the_exact_answer_and_both_by_the_sum():
    found = measured((side(off(1.0)), side(off(1.0, seed=1))))
    assert found["rms of the first"] == pytest.approx((1.0, FP32.noise_rms))
    assert found["rms of the second"] == pytest.approx((1.0, FP32.noise_rms))
    assert found["rms apart"][0] == pytest.approx(math.sqrt(2), rel=0.1)
    assert found["rms apart"][1] == pytest.approx(2 * FP32.noise_rms)
    assert found["max apart"][1] == pytest.approx(2 * FP32.noise_max)


def test_limits_of_two_precisions_add_in_absolute_terms():
    other = side(off(1.0, 1, WIDE), unit=WIDE, contract=BF16)
    observed, limit = measured((side(off(1.0)), other))["rms apart"]
    allowed = FP32.noise_rms * UNIT.rms + BF16.noise_rms * WIDE.rms
    assert limit == pytest.approx(allowed / WIDE.rms)
    assert observed == pytest.approx(1.0, rel=0.01)


def test_what_a_contract_makes_of_the_weights_is_no_difference():
    moved = EXACT + 1.0
    assert measured((side(EXACT), side(moved, expected=moved)))["rms apart"][0] < 1e-9


@pytest.mark.parametrize("decide", [judge.both_within_noise, judge.both_max_within_noise])
@pytest.mark.parametrize("moved", [0, 1])
def test_the_one_that_moved_is_named_with_both_figures(decide, moved):
    sides = [side(off(1.04), "onnxruntime"), side(off(1.0, 1), "pytorch")]
    sides[moved] = dataclasses.replace(sides[moved], observed=off(14.0, 2))
    with pytest.raises(Nonconformity, match=f"{sides[moved].name} moved$") as caught:
        decide(tuple(sides))
    for one in sides:
        assert f"{one.name} is " in str(caught.value)
    assert "noise units apart" in str(caught.value)


def test_two_that_moved_the_same_way_are_not_near_each_other_for_it():
    wrong = off(14.0)
    with pytest.raises(Nonconformity, match=r"both moved$"):
        judge.both_within_noise((side(wrong, "a"), side(wrong, "b")))


@pytest.mark.parametrize("place", [0, 1])
def test_an_answer_that_is_no_number_fails(place):
    answers = [off(1.0), off(1.0, 1)]
    answers[place][1, 2, 3] = math.nan
    with pytest.raises(Nonconformity):
        judge.both_within_noise((side(answers[0]), side(answers[1])))


def test_padding_is_not_judged():
    judged = np.ones((4, 6), np.int64)
    judged[1, 2] = 0
    wrong = off(1.0)
    wrong[1, 2] += 1
    judge.both_within_noise((side(wrong), side(off(1.0, 1))), judged)


def bounded(value: float, bound: float) -> dict[str, Expected]:
    return {"Y": Expected(np.array([value]), np.array([bound]), "float32")}


def rhos(x: float, y: float, b: tuple[dict[str, Expected], dict[str, Expected]]) -> dict:
    answers = {"Y": np.array([x])}, {"Y": np.array([y])}
    with evidence.collect() as sink:
        judge.both_within_bounds(("a", "b"), answers, b)
    return {m.metric: m.observed for m in sink.measurements}


def test_a_difference_of_operators_is_held_against_the_sum_of_both_bounds():
    bounds = bounded(1.0, 0.25), bounded(1.0, 0.75)
    found = rhos(1.25, 0.5, bounds)
    assert found == {
        "rho of the first": 1.0,
        "rho of the second": pytest.approx(2 / 3),
        "rho apart": pytest.approx(0.75),
    }
    with pytest.raises(Nonconformity, match=r"b moved$"):
        rhos(1.0, 2.0, bounds)


def test_what_is_infinite_by_one_contract_alone_has_no_difference():
    bounds = bounded(math.inf, 0.0), bounded(1.0, 0.5)
    assert rhos(math.inf, 1.0, bounds)["rho apart"] == 0
    with pytest.raises(Nonconformity, match=r"a moved$"):
        rhos(1.0, 1.0, bounds)


def test_what_is_infinite_by_the_second_contract_alone_has_none_either():
    bounds = bounded(1.0, 0.5), bounded(math.inf, 0.0)
    assert rhos(1.0, math.inf, bounds)["rho apart"] == 0


TOKENS = 24
CORPUS = Corpus(*(np.ones((1, TOKENS), np.int64) for _ in range(3)))


def choosing(margin: float, flipped: set[int], name: str = "acme", scale: float = 1e-5) -> Side:
    """Return a side whose exact top two are ``margin`` apart, and which swaps them at tokens."""
    exact = np.zeros((1, TOKENS, 3))
    exact[..., 0], exact[..., 1], exact[..., 2] = 1.0, 1.0 - margin, -5.0
    observed = exact.copy()
    for t in flipped:
        observed[0, t, :2] = exact[0, t, 1], exact[0, t, 0]
    unit = dataclasses.replace(UNIT, rms=scale / 5)
    return Side(name, observed, exact, unit, FP32, (scale,) * TOKENS)


def test_a_tie_within_the_noise_may_be_broken_either_way():
    judge.same_decisions((choosing(1e-9, set()), choosing(1e-9, {0, 3})), CORPUS)


def test_a_choice_beyond_the_noise_is_laid_to_the_one_that_chose_the_less_probable():
    with pytest.raises(Nonconformity, match=r"b moved$"):
        judge.same_decisions((choosing(0.1, set(), "a"), choosing(0.1, {3}, "b")), CORPUS)


def test_a_choice_of_the_more_probable_token_is_not_blamed():
    with evidence.collect() as sink, pytest.raises(Nonconformity):
        judge.same_decisions((choosing(0.1, {3}), choosing(0.1, set())), CORPUS)
    gaps = {m.metric: m.observed for m in sink.measurements}
    assert gaps["gap of a choice of the first"] == pytest.approx(0.1 / 1e-5)
    assert gaps["gap of a choice of the second"] == 0


@pytest.mark.parametrize("place", [0, 1])
def test_an_answer_of_nan_chooses_nothing(place):
    sides = choosing(0.1, set()), choosing(0.1, set())
    sides[place].observed[0, 4, 2] = math.nan
    with evidence.collect() as sink, pytest.raises(Nonconformity):
        judge.same_decisions(sides, CORPUS)
    assert math.isnan(sink.measurements[place].observed)


def test_two_that_would_each_pass_can_choose_differently_too_often():
    """Here the difference alone tells: each changes few top tokens, and never the same ones."""
    margin, half = 1.1e-5, TOKENS // 2
    sides = (
        choosing(margin, set(range(half)), "a"),
        choosing(margin, set(range(half, TOKENS)), "b"),
    )
    deviation = FP32.noise_rms * sides[0].unit.rms
    mean = chances(np.full(TOKENS, margin), deviation)
    assert half <= budget(mean), "each would pass by itself"
    assert budget(2 * mean) < TOKENS
    with pytest.raises(Nonconformity, match=rf"{TOKENS} tokens \(different choices\)"):
        judge.same_decisions(sides, CORPUS)


def operators(dtype: object) -> SimpleNamespace:
    return SimpleNamespace(dtype=np.dtype(dtype))


@pytest.mark.parametrize("one", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("other", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_both_are_given_the_same_numbers_in_types_of_their_own(one, other):
    coarse = max((one, other), key=lambda t: ml_dtypes.finfo(t).eps)
    with np.errstate(over="ignore"):
        numbers = np.array([1.0, 0.1, 1e-6, 3e5], coarse)
    call = OperatorCall("Softmax", 13, {"input": numbers, "axes": np.array([1])}, {}, ("output",))
    calls = of_each(call, operators(one), operators(other))
    assert [c.inputs["input"].dtype for c in calls] == [np.dtype(one), np.dtype(other)]
    a, b = (c.inputs["input"].astype(np.float64) for c in calls)
    assert np.array_equal(a, b)
    assert all(c.inputs["axes"] is call.inputs["axes"] for c in calls)


EQUIVALENCE = SPEC.profiles["equivalence"]
ALL = Claims(frozenset(SPEC.capabilities))


def verdicts(claims: Claims, against: Claims | None) -> dict[str, Verdict | None]:
    planned = plan.plan(SPEC, EQUIVALENCE, claims, (), against)
    return {one.requirement.id: one.verdict for one in planned}


def test_without_a_second_candidate_no_requirement_of_two_applies():
    assert set(verdicts(ALL, None).values()) == {Verdict.NOT_APPLICABLE}


def test_what_either_does_not_claim_is_not_applicable_and_the_demanded_fails():
    less = Claims(frozenset({"logits"}))
    for pair in ((less, ALL), (ALL, less)):
        found = verdicts(*pair)
        assert found["EQUIV-001"] is None
        assert found["EQUIV-004"] is Verdict.NOT_APPLICABLE
    nothing = verdicts(ALL, Claims(frozenset({"operators"})))
    assert nothing["EQUIV-001"] is Verdict.FAIL


def test_a_precision_that_the_profile_is_not_stated_for_is_refused_of_both():
    with pytest.raises(UsageError, match="fp64"):
        verdicts(ALL, dataclasses.replace(ALL, precision="fp64"))


@pytest.mark.parametrize(
    ("selection", "told"),
    [
        (Selection("reference", profile="equivalence"), "name the second with --against"),
        (Selection("reference", against="reference", profile="decoder"), "leave out --against"),
    ],
)
def test_a_profile_is_of_one_candidate_or_of_two(selection, told):
    profile = SPEC.profiles[selection.profile_name]
    with pytest.raises(UsageError, match=told), open_subject(selection, SPEC, profile):
        pass


def test_a_second_candidate_implies_the_profile_and_names_the_folder():
    selection = Selection("pytorch:cuda", against="pytorch:cpu")
    assert selection.profile_name == "equivalence"
    assert selection.folder.name == "pytorch-cuda-against-pytorch-cpu-equivalence"
    assert "--against=pytorch:cpu" in selection.command()


def test_two_of_one_type_are_held_against_one_truth_and_told_apart():
    selection = Selection("reference", against="reference:numpy")
    with open_subject(selection, SPEC, EQUIVALENCE) as subject:
        mine, other = subject.models["llama-gqa"], subject.against.models["llama-gqa"]
        assert mine.oracle is other.oracle
        assert (mine.named("logits"), other.who) == ("reference: logits", "reference:numpy")
        assert subject.second().candidate.name == "reference"
