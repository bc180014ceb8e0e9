"""PyTorch's own kernels in bfloat16 and float16 stay within the bounds of their contract."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from conformance.oracles.operators import activations, attention, linear, norms, softmax
from contracts import contract


def wide(*tensors):
    return [x.double().numpy() for x in tensors]


def rows(draw, terms):
    """Yield answer, value and bound of the operators that have one result and no choice inside."""
    x, weight, bias, scale = draw(4, 129), draw(5, 129), draw(5), draw(129)
    values = wide(x, weight, bias)
    yield (
        functional.linear(x, weight, bias),
        linear.linear(*values),
        linear.linear_bound(*values, terms),
    )
    values = (*wide(x, scale), 1e-5)
    observed = functional.rms_norm(x, (129,), scale, 1e-5)
    yield observed, norms.rms_norm(*values), norms.rms_norm_bound(*values, terms)
    for theirs, ours, bound in (
        (torch.softmax(x, -1), softmax.softmax, softmax.softmax_bound),
        (functional.silu(x), activations.silu, activations.silu_bound),
        (torch.sigmoid(x), activations.sigmoid, activations.sigmoid_bound),
    ):
        yield theirs, ours(*wide(x)), bound(*wide(x), terms)


def choices(draw, terms):
    """Yield operators whose narrow intermediates show: log-sum-exp, scores and weights."""
    x = draw(4, 129)
    value, bound = softmax.log_softmax(*wide(x)), softmax.log_softmax_bound(*wide(x), terms)
    yield torch.log_softmax(x, -1), value, bound
    q, k, v = draw(1, 2, 5, 16), draw(1, 2, 33, 16), draw(1, 2, 33, 16)
    whole = attention.attention(*wide(q, k, v), scale=0.25)
    bound = attention.attention_bound(*wide(q, k, v), whole, terms, scale=0.25).output
    yield functional.scaled_dot_product_attention(q, k, v), whole.output, bound
    weights = torch.softmax(((q @ k.mT) * 0.25).float(), -1).to(q.dtype)
    yield weights @ v, whole.output, bound


def worst(cases, name, terms):
    ratios = []
    for seed in range(30):
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape, generator=generator):
            numbers = torch.randn(*shape, generator=generator, dtype=torch.float64)
            return (2 * numbers).to(getattr(torch, name))

        for observed, value, bound in cases(draw, terms):
            ratios.append(float(np.max(np.abs(wide(observed)[0] - value) / bound)))
    return max(ratios)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_operators_without_a_choice_round_once(name):
    assert 0.5 < worst(rows, name, contract(name, "float32")) <= 1


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_narrow_intermediates_need_the_contract_that_allows_them(name):
    assert worst(choices, name, contract(name, name)) <= 1
    assert worst(choices, name, contract(name, "float32")) > 5
