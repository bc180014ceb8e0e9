from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conformance import evidence
from conformance.records import Measurement

ONE = Measurement("rms", 1.0, 3.0, "noise units", "logits[0]", 5)
numbers = st.floats(0, 1e6) | st.just(math.nan) | st.just(math.inf)


def test_nothing_is_kept_when_no_sink_is_open():
    evidence.record(ONE)
    with evidence.collect() as sink:
        pass
    assert sink.measurements == ()


@given(st.lists(numbers, min_size=1))
@example([0.0, 1e-45])
def test_the_worst_is_kept_and_nan_wins(observed):
    with evidence.collect() as sink:
        for value in observed:
            evidence.record(replace(ONE, observed=value))
    (kept,) = sink.measurements
    assert kept.count == 5 * len(observed)
    if any(math.isnan(value) for value in observed):
        assert math.isnan(kept.observed)
    else:
        assert kept.observed == max(observed)


def test_different_metrics_are_kept_apart():
    with evidence.collect() as sink:
        evidence.record(ONE)
        evidence.record(replace(ONE, metric="max"))
    assert [m.metric for m in sink.measurements] == ["rms", "max"]


@pytest.mark.parametrize("order", [1, -1])
def test_the_worst_is_the_one_nearest_to_its_own_limit(order):
    small = replace(ONE, observed=0.9, limit=1.0, where="small")
    large = replace(ONE, observed=5.0, limit=10.0, where="large")
    with evidence.collect() as sink:
        for measurement in (small, large)[::order]:
            evidence.record(measurement)
    (kept,) = sink.measurements
    assert (kept.where, kept.observed, kept.count) == ("small", 0.9, 10)


def test_different_units_are_kept_apart():
    with evidence.collect() as sink:
        evidence.record(ONE)
        evidence.record(replace(ONE, unit="bounds"))
    assert [m.unit for m in sink.measurements] == ["noise units", "bounds"]


def test_sinks_nest():
    with evidence.collect() as outer, evidence.collect() as inner:
        evidence.record(ONE)
    assert inner.measurements == (ONE,)
    assert outer.measurements == ()


@pytest.mark.parametrize(
    ("observed", "limit", "headroom"),
    [(0.0, 2.0, 1.0), (1.0, 2.0, 0.5), (2.0, 2.0, 0.0), (6.0, 2.0, -2.0), (0.0, 0.0, 1.0)],
)
def test_headroom_is_the_share_of_the_limit_that_is_left(observed, limit, headroom):
    assert replace(ONE, observed=observed, limit=limit).headroom == headroom


def test_a_limit_of_zero_that_is_exceeded_leaves_no_headroom():
    assert replace(ONE, observed=1.0, limit=0.0).headroom == -math.inf


@pytest.mark.parametrize(
    ("observed", "ok"),
    [(2.9, True), (3.0, True), (3.1, False), (math.inf, False), (math.nan, False)],
)
def test_a_limit_is_kept_up_to_itself_and_never_by_nan(observed, ok):
    assert replace(ONE, observed=observed, limit=3.0).ok is ok
