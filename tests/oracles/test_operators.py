"""The operators in fp64 equal independent formulas: torch in fp64, mpmath, transformers."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from torch.nn import functional

from conformance.oracles.operators import (
    activations,
    attention,
    linear,
    losses,
    norms,
    rotary,
    softmax,
)

RNG = np.random.default_rng(7)
X = RNG.normal(size=(3, 5, 8))


def close(ours, theirs, relative=1e-13):
    theirs = np.asarray(theirs, dtype=np.float64)
    return np.allclose(ours, theirs, rtol=relative, atol=relative * np.abs(theirs).max())


def tensors(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(x)) for x in arrays]


def test_linear_equals_torch():
    weight, bias = RNG.normal(size=(4, 8)), RNG.normal(size=4)
    assert close(linear.linear(X, weight, bias), functional.linear(*tensors(X, weight, bias)))


def test_rms_norm_equals_its_formula_in_fifty_digits():
    weight, epsilon = RNG.normal(size=8), 1e-5
    with mpmath.workdps(50):
        row = [mpmath.mpf(float(v)) for v in X[0, 0]]
        root = mpmath.sqrt(mpmath.fsum(v * v for v in row) / 8 + mpmath.mpf(epsilon))
        wanted = [float(v / root * mpmath.mpf(float(w))) for v, w in zip(row, weight, strict=True)]
    assert close(norms.rms_norm(X, weight, epsilon)[0, 0], wanted, 1e-15)


def test_embedding_copies_rows():
    table, ids = RNG.normal(size=(6, 4)), np.array([[0, 5], [5, 2]])
    assert np.array_equal(linear.embedding(table, ids), table[ids])


@pytest.mark.parametrize("bad", [-1, 6])
def test_embedding_refuses_ids_outside_of_the_vocabulary(bad):
    with pytest.raises(IndexError, match=r"0\.\.5"):
        linear.embedding(np.zeros((6, 4)), np.array([0, bad]))


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotation_is_a_complex_product(interleaved):
    x, angle = RNG.normal(size=(2, 3, 5, 8)), RNG.normal(size=(2, 5, 3))
    y = rotary.rotary(x, np.cos(angle), np.sin(angle), interleaved=interleaved)
    a, b = (np.s_[0:6:2], np.s_[1:6:2]) if interleaved else (np.s_[0:3], np.s_[3:6])
    turned = (x[..., a] + 1j * x[..., b]) * np.exp(1j * angle[:, None])
    assert close(y[..., a], turned.real)
    assert close(y[..., b], turned.imag)
    assert np.array_equal(y[..., 6:], x[..., 6:])


@pytest.mark.parametrize("form", ["power", "exponential"])
def test_frequencies_equal_their_formula_in_fifty_digits(form):
    with mpmath.workdps(50):
        wanted = [float(mpmath.mpf(500000) ** (mpmath.mpf(-2 * i) / 16)) for i in range(8)]
    assert close(rotary.frequencies(500000.0, 16, form=form), wanted, 1e-14)


def test_llama3_frequencies_equal_those_of_transformers():
    rope = pytest.importorskip("transformers.modeling_rope_utils")
    from transformers import LlamaConfig  # noqa: PLC0415

    scaling = {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    config = LlamaConfig(head_dim=32, max_position_embeddings=512, rope_parameters=scaling)
    theirs, factor = rope.ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    ours = rotary.llama3_frequencies(rotary.frequencies(500000.0, 32), 8.0, 1.0, 4.0, 64)
    assert factor == 1.0
    assert close(ours, theirs.double(), 1e-6)  # transformers computes them in float32
    assert len(set(np.round(ours / rotary.frequencies(500000.0, 32), 6))) > 2  # all three bands


def test_softmax_and_log_softmax_equal_torch_on_shifted_logits():
    for shift in (0, 1e4, -1e4):
        x = X * 30 + shift
        assert close(softmax.softmax(x), torch.softmax(torch.from_numpy(x), -1))
        assert close(softmax.log_softmax(x), torch.log_softmax(torch.from_numpy(x), -1))


def test_entries_of_minus_infinity_weigh_exactly_nothing():
    x = np.array([[0.0, -np.inf, 1.0], [-np.inf, 3.0, -np.inf]])
    assert (softmax.softmax(x)[np.isneginf(x)] == 0).all()
    assert np.isneginf(softmax.log_softmax(x)[np.isneginf(x)]).all()
    assert softmax.softmax(x)[1, 1] == 1


def test_softmax_of_a_row_without_a_finite_entry_is_nan():
    assert np.isnan(softmax.softmax(np.full((1, 3), -np.inf))).all()


def test_silu_and_swiglu_equal_torch_and_vanish_at_minus_infinity():
    x = np.concatenate([X.ravel() * 30, [-800.0, 800.0]])
    assert close(activations.silu(x), functional.silu(torch.from_numpy(x)))
    assert activations.silu(np.array([-np.inf])) == 0
    up = x[::-1]
    assert close(activations.swiglu(x, up), functional.silu(torch.from_numpy(x)).numpy() * up)


def test_attention_equals_torch_with_grouped_heads_and_a_causal_mask():
    q, k, v = (RNG.normal(size=s) for s in ((2, 6, 5, 8), (2, 2, 9, 8), (2, 2, 9, 3)))
    allowed = attention.causal_mask(5, 9, 4)
    ours = attention.attention(q, k, v, attention.mask_bias(allowed, "float64"), scale=0.3)
    theirs = functional.scaled_dot_product_attention(
        *tensors(q, k, v), torch.from_numpy(allowed), scale=0.3, enable_gqa=True
    )
    assert close(ours.output, theirs)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [None, 3])
def test_cross_entropy_equals_torch(reduction, weighted, ignored):
    scores, labels = RNG.normal(size=(9, 7)), np.array([3, 1, 2, 3, 0, 6, 3, 5, 4])
    weights = RNG.uniform(size=7) if weighted else None
    ours = losses.cross_entropy(scores, labels, weights, ignore_index=ignored, reduction=reduction)
    theirs = functional.cross_entropy(
        *tensors(scores, labels),
        None if weights is None else torch.from_numpy(weights),
        ignore_index=-100 if ignored is None else ignored,
        reduction=reduction,
    )
    assert close(ours, theirs)


def test_mean_loss_without_a_counted_row_is_nan():
    scores, labels = np.zeros((2, 3)), np.array([1, 1])
    assert np.isnan(losses.cross_entropy(scores, labels, ignore_index=1))


def test_operators_compute_in_the_type_of_their_inputs():
    x = X.astype(np.float32)
    q = x[:, None]
    results = [
        norms.rms_norm(x, x[0, 0], 1e-5),
        softmax.softmax(x),
        softmax.log_softmax(x),
        activations.silu(x),
        rotary.frequencies(1e4, 8, "float32"),
        rotary.llama3_frequencies(rotary.frequencies(1e4, 8, "float32"), 8.0, 1.0, 4.0, 64),
        attention.attention(q, q, q, softcap=3.0).output,
        attention.attention(
            q, q, q, attention.mask_bias(x[..., 0] > 0, "float32")[:, None, None]
        ).output,
    ]
    assert {y.dtype.name for y in results} == {"float32"}
