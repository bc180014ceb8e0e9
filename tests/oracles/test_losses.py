"""Losses of labels: true to torch and mpmath; honest forms keep the bound, faults leave it."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from torch.nn import functional

from conformance.oracles.operators import losses
from conformance.oracles.standard import expected
from conformance.records import OWN_DOMAIN, OperatorCall
from contracts import contract
from honest import SUMS, f32, rho

FP32 = contract("float32")
SEEDS = range(40)
NOT_VACUOUS = 0.1
IGNORED = -100
SMOOTHING = float(f32(0.1))


def draw(rng, rows=None, classes=None, scale=3.0):
    rows = rows or int(rng.choice([1, 5, 40]))
    classes = classes or int(rng.choice([2, 17, 300]))
    labels = rng.integers(0, classes, rows)
    labels[: int(rng.integers(0, rows))] = IGNORED
    return (rng.normal(size=(rows, classes)) * scale).astype(f32), labels


def wide(scores):
    return scores.astype(np.float64)


def theirs(scores, labels, **options):
    x = torch.from_numpy(scores)
    return functional.cross_entropy(x, torch.from_numpy(labels), ignore_index=IGNORED, **options)


def test_smoothing_and_perplexity_equal_torch_in_fp64():
    for seed in SEEDS:
        scores, labels = draw(np.random.default_rng(seed))
        ours = losses.label_smoothed(wide(scores), labels, 0.1, ignore_index=IGNORED)
        assert ours == pytest.approx(theirs(wide(scores), labels, label_smoothing=0.1).item())
        ours = losses.perplexity(wide(scores), labels, ignore_index=IGNORED)
        assert ours == pytest.approx(theirs(wide(scores), labels).exp().item(), rel=1e-12)


def test_losses_equal_mpmath_on_a_small_case():
    scores, labels = draw(np.random.default_rng(7), rows=3, classes=4)
    labels = np.array([1, 3, 0])
    with mpmath.workdps(40):
        rows = [[mpmath.mpf(float(v)) for v in row] for row in scores]
        log_p = [[v - mpmath.log(mpmath.fsum(map(mpmath.exp, row))) for v in row] for row in rows]
        nll = -mpmath.fsum(row[k] for row, k in zip(log_p, labels, strict=True)) / 3
        smooth = -mpmath.fsum(mpmath.fsum(row) for row in log_p) / 12
        smoothed, perplexity = float(0.9 * nll + 0.1 * smooth), float(mpmath.exp(nll))
    assert losses.cross_entropy(wide(scores), labels) == pytest.approx(float(nll), rel=1e-14)
    assert losses.label_smoothed(wide(scores), labels, 0.1) == pytest.approx(smoothed, rel=1e-14)
    assert losses.perplexity(wide(scores), labels) == pytest.approx(perplexity, rel=1e-14)


@pytest.mark.parametrize("classes", [2, 17, 151936])
def test_equal_scores_have_the_perplexity_of_their_number(classes):
    scores, labels = np.full((3, classes), 1.5), np.array([0, 1, classes - 1])
    assert losses.perplexity(scores, labels) == pytest.approx(classes, rel=1e-13)


def log_softmaxes(x):
    shifted = x - x.max(-1, keepdims=True)
    for add in SUMS:
        yield shifted - np.log(add(np.exp(shifted)))[:, None]
        yield x - (x.max(-1) + np.log(add(np.exp(shifted))))[:, None]
    yield torch.log_softmax(torch.from_numpy(x), -1).numpy()


def honest(scores, labels):
    """Yield the parts of the float32 losses: of each label, of all classes, over ``count`` rows."""
    counted = labels != IGNORED
    for log_p in log_softmaxes(scores):
        for add in SUMS:
            picked = -np.take_along_axis(log_p, np.where(counted, labels, 0)[:, None], 1)[:, 0]
            spread = -add(log_p) / f32(scores.shape[1])
            each, all_classes = (np.where(counted, x, f32(0)) for x in (picked, spread))
            yield add, each, all_classes, f32(counted.sum())


def mean_cases(rng):
    scores, labels = draw(rng)
    arguments, ignored = (wide(scores), labels), {"ignore_index": IGNORED}
    mean = losses.cross_entropy(*arguments, **ignored)
    mean_bound = losses.cross_entropy_bound(*arguments, None, FP32, **ignored)
    perplexity = losses.perplexity(*arguments, **ignored)
    perplexity_bound = losses.perplexity_bound(*arguments, FP32, **ignored)
    smoothed = losses.label_smoothed(*arguments, SMOOTHING, **ignored)
    smoothed_bound = losses.label_smoothed_bound(*arguments, SMOOTHING, FP32, **ignored)
    e, rest = f32(SMOOTHING), 1 - f32(SMOOTHING)
    for add, each, spread, count in honest(scores, labels):
        yield "mean", add(each) / count, mean, mean_bound
        yield "perplexity", np.exp(add(each) / count), perplexity, perplexity_bound
        one = rest * (add(each) / count) + e * (add(spread) / count)
        yield "smoothed", one, smoothed, smoothed_bound
        yield "smoothed", add(rest * each + e * spread) / count, smoothed, smoothed_bound
    yield "mean", theirs(scores, labels).numpy(), mean, mean_bound
    observed = theirs(scores, labels, label_smoothing=0.1).numpy()
    yield "smoothed", observed, smoothed, smoothed_bound
    yield "perplexity", theirs(scores, labels).exp().numpy(), perplexity, perplexity_bound


def test_honest_forms_stay_within_a_bound_that_is_not_vacuous():
    worst = {}
    for seed in SEEDS:
        for name, observed, value, bound in mean_cases(np.random.default_rng(seed)):
            worst[name] = max(worst.get(name, 0), rho(observed, value, bound))
    assert len(worst) == 3
    assert all(NOT_VACUOUS <= ratio <= 1 for ratio in worst.values()), worst


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_narrow_log_probabilities_need_the_contract_that_allows_them(name):
    worst = {name: 0.0, "float32": 0.0}
    for seed in SEEDS:
        scores, labels = draw(np.random.default_rng(seed))
        labels = np.abs(labels) % scores.shape[1]
        x = torch.from_numpy(scores).to(getattr(torch, name))
        arguments = x.double().numpy(), labels, None
        value = losses.cross_entropy(*arguments, reduction="none")
        picked = torch.log_softmax(x, -1).gather(1, torch.from_numpy(labels)[:, None])
        for inner in (name, "float32"):
            terms = contract(name, inner)
            bound = losses.cross_entropy_bound(*arguments, terms, reduction="none")
            ratio = rho(-picked[:, 0].double().numpy(), value, bound)
            worst[inner] = max(worst[inner], ratio)
    assert worst[name] <= 1 < worst["float32"]


SCORES, LABELS = draw(np.random.default_rng(3), rows=12, classes=9)
LABELS[:4] = IGNORED
OPTIONS = {"ignore_index": IGNORED}


def smoothed(smoothing, labels=LABELS, **options):
    return losses.label_smoothed(wide(SCORES), labels, smoothing, **options)


SMOOTHED = (
    smoothed(SMOOTHING, **OPTIONS),
    losses.label_smoothed_bound(wide(SCORES), LABELS, SMOOTHING, FP32, **OPTIONS),
)
PERPLEXITY = (
    losses.perplexity(wide(SCORES), LABELS, **OPTIONS),
    losses.perplexity_bound(wide(SCORES), LABELS, FP32, **OPTIONS),
)
FAULTS = {
    "smoothing: none": (smoothed(0.0, **OPTIONS), *SMOOTHED),
    "smoothing: over the other classes": (smoothed(SMOOTHING * 9 / 8, **OPTIONS), *SMOOTHED),
    "smoothing: ignored rows counted": (smoothed(SMOOTHING, np.maximum(LABELS, 0)), *SMOOTHED),
    "perplexity: temperature 1.0001": (
        losses.perplexity(wide(SCORES) / 1.0001, LABELS, **OPTIONS),
        *PERPLEXITY,
    ),
    "perplexity: ignored rows counted": (
        losses.perplexity(wide(SCORES), np.maximum(LABELS, 0)),
        *PERPLEXITY,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_leaves_the_bound(fault):
    assert rho(*FAULTS[fault]) > 2


def call(operator, scores, labels, domain=OWN_DOMAIN, outputs=("output",), **attributes):
    inputs = {"scores": scores, "labels": labels}
    given = {"ignore_index": IGNORED, **attributes}
    return OperatorCall(operator, 23, inputs, given, outputs, domain)


def cross_entropy_call(scores, labels, **attributes):
    outputs = ("output", "log_prob")
    return call("SoftmaxCrossEntropyLoss", scores, labels, "", outputs, **attributes)


@pytest.mark.parametrize(("policy", "value"), [("nan", np.nan), ("zero", 0.0)])
def test_a_mean_of_no_label_is_what_the_contract_says(policy, value):
    terms = contract("float32", loss_without_labels=policy)
    wanted = expected(cross_entropy_call(SCORES, np.full(12, IGNORED)), terms)["output"]
    assert np.array_equal(wanted.value, value, equal_nan=True)
    assert wanted.bound == 0


@pytest.mark.parametrize("policy", ["nan", "zero"])
def test_a_sum_of_no_label_is_zero(policy):
    terms = contract("float32", loss_without_labels=policy)
    none = cross_entropy_call(SCORES, np.full(12, IGNORED), reduction="sum")
    assert expected(none, terms)["output"].value == 0


def test_classes_stand_before_positions():
    scores, labels = SCORES.reshape(2, 6, 9), np.maximum(LABELS, 0).reshape(2, 6)
    turned = np.moveaxis(scores, -1, 1)
    wanted = expected(cross_entropy_call(turned, labels, reduction="none"), FP32)
    observed = functional.cross_entropy(
        torch.from_numpy(turned.astype(np.float64)), torch.from_numpy(labels), reduction="none"
    )
    assert np.allclose(wanted["output"].value, observed.numpy(), rtol=1e-13)
    assert wanted["log_prob"].value.shape == turned.shape


def test_a_label_of_score_minus_infinity_loses_infinity():
    scores = SCORES.copy()
    scores[-1, LABELS[-1]] = -np.inf
    wanted = expected(cross_entropy_call(scores, LABELS, reduction="none"), FP32)["output"]
    assert wanted.value[-1] == np.inf
    assert wanted.bound[-1] == 0
    assert np.isfinite(wanted.value[:-1]).all()
