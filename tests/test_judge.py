"""Judges: what they pass, what they fail, where they say it was."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance import evidence, judge, spec
from conformance.errors import FormatError, Nonconformity, SpecError
from conformance.judge import values
from conformance.oracles.closed_form import Answer
from conformance.oracles.standard import Expected
from conformance.records import NoiseUnit

FP32 = spec.load().contracts["fp32"]
UNIT = NoiseUnit(rms=1e-6, max=5e-6, spread=0.02, members=8, positions=300, contract="fp32")
EXACT = np.linspace(-3, 3, 4 * 6 * 10).reshape(4, 6, 10)


def noisy(rms: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(EXACT.shape)
    return EXACT + noise * rms / math.sqrt(np.square(noise).mean())


def test_noise_of_one_unit_passes_and_is_measured():
    with evidence.collect() as sink:
        judge.within_noise(noisy(1e-6), EXACT, UNIT, FP32)
    rms, largest = sink.measurements
    assert rms.observed == pytest.approx(1.0)
    assert rms.limit == FP32.noise_rms
    assert (rms.count, largest.count) == (EXACT.size, EXACT.size)


def test_noise_beyond_the_limit_fails_with_the_figure():
    with pytest.raises(Nonconformity, match=r"^3\.51 noise units \(rms\)") as caught:
        judge.within_noise(noisy(3.51e-6), EXACT, UNIT, FP32)
    assert "allowed 3" in str(caught.value)
    assert "would pass at 3.6" in str(caught.value)


@pytest.mark.parametrize("decide", [judge.within_noise, judge.max_within_noise])
@pytest.mark.parametrize("sign", [1, -1])
def test_one_wrong_number_among_many_fails_and_is_named(decide, sign):
    observed = EXACT.copy()
    observed[2, 3, 7] += sign * 3.9 * UNIT.max
    decide(observed, EXACT, UNIT, FP32)
    observed[2, 3, 7] = EXACT[2, 3, 7] + sign * 4.1 * UNIT.max
    with pytest.raises(Nonconformity, match=r"at logits\[2, 3, 7\]; allowed 4"):
        decide(observed, EXACT, UNIT, FP32)


@pytest.mark.parametrize("place", [0, 1 << 20, (1 << 20) + 1])
def test_a_row_longer_than_a_block_is_judged_to_its_end(place):
    expected = np.zeros((1, 1, (1 << 20) + 2))
    observed = expected.astype(np.float32)
    observed[0, 0, place] = 1.0
    with pytest.raises(Nonconformity, match=rf"at logits\[0, 0, {place}\]"):
        judge.max_within_noise(observed, expected, UNIT, FP32)


@pytest.mark.parametrize("decide", [judge.within_noise, judge.max_within_noise])
def test_a_nan_is_told_with_its_place(decide):
    observed = EXACT.copy()
    observed[1, 2, 3] = math.nan
    with pytest.raises(Nonconformity, match=r"^nan noise units \(\w+\) at logits\[1, 2, 3\];"):
        decide(observed, EXACT, UNIT, FP32)


def test_a_mean_that_is_too_large_is_told_with_the_place_of_the_largest_error():
    observed = noisy(3.51e-6)
    place = np.unravel_index(np.argmax(np.abs(observed - EXACT)), EXACT.shape)
    with pytest.raises(Nonconformity) as caught:
        judge.within_noise(observed, EXACT, UNIT, FP32)
    assert caught.value.measurement.metric == "rms"
    assert caught.value.measurement.where == f"logits{[int(i) for i in place]}"


def test_an_answer_that_is_too_short_is_not_judged_for_what_it_has():
    for short in (EXACT[:3], EXACT[:, :5], EXACT[:, :, :9]):
        with pytest.raises((IndexError, ValueError)):
            judge.max_within_noise(short, EXACT, UNIT, FP32)


def test_all_is_recorded_before_the_worst_is_raised():
    observed = EXACT + 4e-6
    observed[0, 0, 0] += 96e-6
    with evidence.collect() as sink, pytest.raises(Nonconformity) as caught:
        judge.within_noise(observed, EXACT, UNIT, FP32)
    assert [m.metric for m in sink.measurements if not m.ok] == ["rms", "max"]
    assert caught.value.measurement.metric == "max"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (1, 2, 3), (3, 5, 9)])
def test_one_number_that_is_not_finite_fails_wherever_it_stands(bad, place):
    observed = EXACT.copy()
    observed[place] = bad
    for decide in (judge.within_noise, judge.max_within_noise, judge.related):
        with pytest.raises(Nonconformity):
            decide(observed, EXACT, UNIT, FP32)
    with pytest.raises(Nonconformity):
        judge.all_finite(observed)


@pytest.mark.parametrize("at", [0, 6, 7, 29])
def test_what_is_looked_at_in_blocks_is_counted_whole_and_named_by_its_first(at, monkeypatch):
    monkeypatch.setattr(values, "_BLOCK", 7)
    observed = np.zeros((5, 6))
    judge.all_finite(observed)
    observed.flat[[at, 29]] = math.nan
    with evidence.collect() as sink, pytest.raises(Nonconformity):
        judge.all_finite(observed, "w")
    (seen,) = sink.measurements
    assert (seen.observed, seen.count) == (len({at, 29}), 30)
    assert seen.where == f"w[{at // 6}, {at % 6}]"


def test_positions_that_are_not_judged_do_not_count():
    observed, judged = EXACT.copy(), np.ones(EXACT.shape[:2])
    observed[1, 2] = math.nan
    judged[1, 2] = 0
    with evidence.collect() as sink:
        judge.max_within_noise(observed, EXACT, UNIT, FP32, judged)
    assert sink.measurements[0].count == EXACT.size - EXACT.shape[2]


def test_an_error_at_a_judged_position_counts_whatever_the_mask():
    observed, judged = EXACT.copy(), np.zeros(EXACT.shape[:2])
    observed[1, 2, 3] += 5 * UNIT.max
    judged[1, 2] = 1
    with pytest.raises(Nonconformity, match=r"at logits\[1, 2, 3\]"):
        judge.max_within_noise(observed, EXACT, UNIT, FP32, judged)


def test_nothing_judged_is_not_passed():
    nothing = np.zeros(EXACT.shape[:2])
    for decide in (judge.within_noise, judge.max_within_noise, judge.related):
        with evidence.collect() as sink, pytest.raises(Nonconformity):
            decide(EXACT, EXACT, UNIT, FP32, nothing)
        assert all(math.isnan(m.observed) for m in sink.measurements)


def test_a_relation_is_allowed_the_noise_of_two():
    other = EXACT.copy()
    other[0, 0, 0] += 5.6 * UNIT.max
    judge.related(EXACT, other, UNIT, FP32)
    other[0, 0, 0] += 0.1 * UNIT.max
    with pytest.raises(Nonconformity):
        judge.related(EXACT, other, UNIT, FP32)


def bounded(value: list[float], bound: list[float]) -> dict[str, Expected]:
    return {"Y": Expected(np.array(value), np.array(bound), "float64")}


def outputs(*values: float) -> dict[str, np.ndarray]:
    return {"Y": np.array(values, dtype=np.float32)}


@pytest.mark.parametrize(
    ("value", "bound", "observed", "passes"),
    [
        ([1.0, 2.0], [0.5, 0.5], (1.5, 2.0), True),
        ([1.0, 2.0], [0.5, 0.5], (1.5, 2.625), False),
        ([1.0, 2.0], [0.5, 0.5], (0.375, 2.0), False),
        ([1.0, 2.0], [0.0, 0.0], (1.0, 2.0), True),
        ([1.0, 2.0], [0.0, 0.0], (1.0, 2.0000002), False),
        ([math.inf, 2.0], [1.0, 1.0], (math.inf, 2.0), True),
        ([math.inf, 2.0], [1.0, 1.0], (-math.inf, 2.0), False),
        ([math.inf, 2.0], [1.0, 1.0], (3e38, 2.0), False),
        ([math.nan, 2.0], [1.0, 1.0], (math.nan, 2.0), True),
        ([math.nan, 2.0], [1.0, 1.0], (0.0, 2.0), False),
        ([1.0, 2.0], [1.0, 1.0], (math.nan, 2.0), False),
        ([1.0, 2.0], [1.0, 1.0], (1.0, math.inf), False),
        ([0.0, 2.0], [math.nan, 1.0], (0.1, 2.0), False),
    ],
)
def test_each_number_is_held_against_its_own_bound(value, bound, observed, passes):
    if passes:
        judge.within_bounds(outputs(*observed), bounded(value, bound))
    else:
        with pytest.raises(Nonconformity):
            judge.within_bounds(outputs(*observed), bounded(value, bound))


def test_rho_is_the_largest_ratio_of_error_to_bound():
    with evidence.collect() as sink:
        judge.within_bounds(outputs(1.25, 2.25), bounded([1.0, 2.0], [1.0, 0.5]))
    (rho,) = sink.measurements
    assert (rho.observed, rho.where, rho.count) == (0.5, "Y[1]", 2)


def test_the_largest_ratio_is_found_in_arrays_of_any_shape():
    expected = {"Y": Expected(np.zeros((2, 3)), np.ones((2, 3)), "float64")}
    observed = np.zeros((2, 3), dtype=np.float32)
    observed[1, 2] = 2.0
    with pytest.raises(Nonconformity, match=r"^2 bounds \(rho\) at Y\[1, 2\]"):
        judge.within_bounds({"Y": observed}, expected)


def test_every_output_is_judged_by_its_own_name():
    values = {"A": np.array([1]), "B": np.array([2])}
    truth = {name: Expected(value, np.zeros(1), "float64") for name, value in values.items()}
    right = {"B": np.array([2.0]), "A": np.array([1.0])}
    judge.within_bounds(right, truth)
    for name, value in right.items():
        with pytest.raises(Nonconformity, match=rf"at {name}\[0\]"):
            judge.within_bounds({**right, name: np.array([3.0])}, truth)
        with pytest.raises(KeyError):
            judge.within_bounds({name: value}, truth)


@pytest.mark.parametrize("bits", [0x80000000, 0x7FC00001, 0xFFC00000])
def test_signed_zeros_and_payloads_of_nan_are_told_apart_and_equal_themselves(bits):
    one = np.array([bits], dtype=np.uint32).view(np.float32)
    judge.bitwise_equal(one, one.copy())
    for other in (0x00000000, 0x7FC00000):
        with pytest.raises(Nonconformity):
            judge.bitwise_equal(one, np.array([other], dtype=np.uint32).view(np.float32))


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1), st.data())
def test_bitwise_equality_sees_every_single_bit(values, data):
    one = np.array(values, dtype=np.float32)
    judge.bitwise_equal(one, one.copy())
    other = one.copy()
    place = data.draw(st.integers(0, one.size - 1))
    other.view(np.uint32)[place] ^= np.uint32(1 << data.draw(st.integers(0, 31)))
    with pytest.raises(Nonconformity, match=rf"Y\[{place}\]"):
        judge.bitwise_equal(one, other)


def test_zeros_are_demanded_exactly():
    judge.all_zero(np.array([0.0, -0.0]))
    for wrong in (1e-45, math.nan):
        with pytest.raises(Nonconformity):
            judge.all_zero(np.array([0.0, wrong], dtype=np.float32))


def test_no_zero_at_all_is_no_failure_of_the_candidates():
    judge.all_zero(np.zeros((0,)))


def test_a_refused_document_fails_with_the_refusal():
    judge.accepted("a format", lambda: None)

    def refuse() -> None:
        raise FormatError("L3-TEST", "seen x, allowed y", "/a")

    refusal = pytest.raises(Nonconformity, match=r"at /a: seen x, allowed y \[L3-TEST\]")
    with evidence.collect() as sink, refusal:
        judge.accepted("a format", refuse)
    assert not sink.measurements[0].ok
    assert (sink.measurements[0].observed, sink.measurements[0].unit) == (1.0, "violations")


def test_a_digest_that_did_not_change_passes():
    judge.unchanged("files", "a", "a")


def test_the_measurement_is_kept_when_the_judgement_fails():
    with evidence.collect() as sink, pytest.raises(Nonconformity):
        judge.unchanged("files", "a", "b")
    assert sink.measurements[0].observed == 1.0


@pytest.mark.parametrize("shape", [(1, 6, 10), (4, 6, 1), (4, 6), (6, 4, 10)])
def test_arrays_of_different_shapes_are_not_stretched(shape):
    other = np.zeros(shape)
    for decide in (judge.within_noise, judge.max_within_noise, judge.related):
        with pytest.raises(ValueError, match="a judge was given"):
            decide(other, EXACT, UNIT, FP32)
    with pytest.raises(ValueError, match="a judge was given"):
        judge.bitwise_equal(other, EXACT)
    with pytest.raises(ValueError, match="a judge was given"):
        judge.within_bounds({"Y": other}, {"Y": Expected(EXACT, EXACT, "float64")})


def test_equal_numbers_of_different_types_are_not_compared_bit_for_bit():
    with pytest.raises(ValueError, match="a judge was given"):
        judge.bitwise_equal(np.zeros(3, dtype=np.float32), np.zeros(3, dtype=np.int32))


def test_an_infinite_bound_is_a_fault_of_the_oracle():
    with pytest.raises(SpecError, match="would pass any answer"):
        judge.within_bounds(outputs(1.0, 2.0), bounded([1.0, 2.0], [0.5, math.inf]))


def closed(value, bound=0.0, *, defined=True):
    shape = (2, 3, 4)
    return Answer(np.full(shape, value), np.full(shape, bound), np.full(shape[:2], defined))


@pytest.mark.parametrize("wrong", [np.nextafter(np.float32(16), np.float32(0)), np.nan, np.inf])
def test_a_number_that_is_exact_in_closed_form_may_not_differ_at_all(wrong):
    observed = np.full((2, 3, 4), 16, np.float32)
    judge.equals_closed_form(observed, closed(16))
    observed[1, 2, 3] = wrong
    with pytest.raises(Nonconformity, match=r"^1 numbers \(differing\) at logits\[1, 2, 3\]"):
        judge.equals_closed_form(observed, closed(16))


@pytest.mark.parametrize("wrong", [16.6, 15.4, np.nan])
def test_a_number_that_is_rounded_in_closed_form_stays_within_its_bound(wrong):
    observed = np.full((2, 3, 4), 16.4, np.float32)
    judge.equals_closed_form(observed, closed(16, 0.5))
    observed[0, 1, 2] = wrong
    with pytest.raises(Nonconformity, match=r"bounds \(rho\) at logits\[0, 1, 2\]; allowed 1"):
        judge.equals_closed_form(observed, closed(16, 0.5))


def test_rows_in_which_a_closed_form_is_not_defined_are_neither_judged_nor_counted():
    answer = closed(16)
    answer.defined_BT[0] = False
    observed = np.full((2, 3, 4), 16, np.float32)
    observed[0] = np.nan
    with evidence.collect() as sink:
        judge.equals_closed_form(observed, answer)
    assert [m.count for m in sink.measurements] == [12]
    with evidence.collect() as sink:
        judge.equals_closed_form(observed, closed(16, defined=False))
    assert sink.measurements == ()


def test_an_error_that_stays_is_no_trend_and_one_that_grows_is():
    rng = np.random.default_rng(0)
    squares = [np.square(rng.standard_normal(4000) * UNIT.rms) for _ in range(7)]
    judge.without_trend(squares, UNIT, "the number of rows")
    grown = [level * (1 + 0.1 * i) ** 2 for i, level in enumerate(squares)]
    with pytest.raises(Nonconformity, match=r"\(rise with the number of rows\)"):
        judge.without_trend(grown, UNIT, "the number of rows")
    judge.without_trend(grown[::-1], UNIT, "the number of rows")


@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_trend_with_a_nan_fails(place):
    squares = [np.full(10, UNIT.rms**2) for _ in range(7)]
    squares[place][4] = math.nan
    with pytest.raises(Nonconformity):
        judge.without_trend(squares, UNIT, "the slot")
