"""The router: as Transformers and gpt-oss have it; honest forms keep the bound, faults leave it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conformance.errors import SpecError
from conformance.oracles.operators import routing as r
from conformance.oracles.standard import expected
from conformance.records import OWN_DOMAIN, OperatorCall
from contracts import contract
from honest import SUMS, f32, rho

FP32 = contract("float32")
SEEDS = range(40)
NOT_VACUOUS = 0.1
BOTH = pytest.mark.parametrize("first", [True, False], ids=["softmax first", "choice first"])


def draw(rng, tokens=6, experts=16, scale=2.0):
    return (rng.normal(size=(tokens, experts)) * scale).astype(f32)


def none(logits):
    return np.zeros(logits.shape[-1], logits.dtype)


def torch_router(logits, bias, how):
    """Return weights and indices as models in torch compute them, in the logits' type."""
    x, b = torch.from_numpy(logits), torch.from_numpy(bias)
    scores = x.softmax(-1) if how.softmax_first else x
    chosen = torch.topk(scores + b, how.top_k, dim=-1).indices
    weights = scores.gather(-1, chosen)
    weights = weights if how.softmax_first else weights.softmax(-1)
    if how.renormalise:
        weights = weights / weights.sum(-1, keepdim=True)
    return (weights * how.scale).numpy(), chosen.numpy()


@BOTH
@pytest.mark.parametrize("renormalise", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_router_equals_torch_in_fp64(first, renormalise, biased):
    rng = np.random.default_rng(0)
    how = r.Routing(4, first, renormalise, 2.5)
    logits = draw(rng).astype(np.float64)
    bias = rng.normal(size=16) if biased else none(logits)
    weights, chosen = r.route(logits, bias, how)
    theirs, indices = torch_router(logits, bias, how)
    assert np.array_equal(chosen, indices)
    assert np.allclose(weights, theirs, rtol=1e-14)


def test_renormalised_shares_of_all_are_the_softmax_of_the_chosen():
    logits = draw(np.random.default_rng(1)).astype(np.float64)
    one, _ = r.route(logits, none(logits), r.Routing(4, softmax_first=True, renormalise=True))
    other, _ = r.route(logits, none(logits), r.Routing(4, softmax_first=False))
    assert np.allclose(one, other, rtol=1e-14)


def test_of_equal_logits_the_lower_index_comes_first():
    logits = np.array([[1.0, 3.0, 2.0, 3.0, 2.0, 3.0]])
    _, chosen = r.route(logits, none(logits), r.Routing(4, softmax_first=False))
    assert chosen.tolist() == [[1, 3, 5, 2]]


def honest(logits, bias, how):
    """Yield float32 weights of the exact choice, with sums in several orders."""
    _, chosen = r.route(logits.astype(np.float64), bias.astype(np.float64), how)
    yield torch_router(logits, bias, how)[0]
    picked = np.take_along_axis(logits, chosen, -1)
    for add in SUMS:
        e = np.exp(logits - logits.max(-1, keepdims=True))
        shares = np.take_along_axis(e / add(e)[:, None], chosen, -1)
        own = np.exp(picked - picked.max(-1, keepdims=True))
        if how.softmax_first and not how.renormalise:
            yield shares * f32(how.scale)
            continue
        yield own / add(own)[:, None] * f32(how.scale)
        yield shares / add(shares)[:, None] * f32(how.scale)
        yield shares * (f32(how.scale) / add(shares)[:, None])


@BOTH
@pytest.mark.parametrize("renormalise", [False, True])
def test_honest_forms_stay_within_a_bound_that_is_not_vacuous(first, renormalise):
    worst = 0.0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        how = r.Routing(int(rng.integers(1, 5)), first, renormalise, float(f32(2.827)))
        logits = draw(rng, experts=int(rng.choice([4, 8, 64])), scale=rng.choice([0.1, 2, 20]))
        bias = rng.normal(size=logits.shape[1]).astype(f32) * f32(0.1 * (seed % 2))
        wide = logits.astype(np.float64), bias.astype(np.float64)
        if not r.decided(*wide, how, FP32).all():
            continue
        weights, chosen = r.route(*wide, how)
        bound = r.weights_bound(wide[0], weights, chosen, how, FP32)
        worst = max(worst, *(rho(form, weights, bound) for form in honest(logits, bias, how)))
    assert NOT_VACUOUS <= worst <= 1


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_shares_may_be_rounded_where_the_contract_says_so(name):
    worst = {terms.intermediate: 0.0 for terms in (contract(name), contract(name, "float32"))}
    how = r.Routing(3, softmax_first=True, renormalise=True)
    for seed in SEEDS:
        x = torch.from_numpy(draw(np.random.default_rng(seed))).to(getattr(torch, name))
        wide = x.double().numpy()
        weights, chosen = r.route(wide, none(wide), how)
        shares = x.softmax(-1).gather(-1, torch.from_numpy(chosen))
        observed = (shares / shares.sum(-1, keepdim=True)).double().numpy()
        for terms in (contract(name), contract(name, "float32")):
            ratio = rho(observed, weights, r.weights_bound(wide, weights, chosen, how, terms))
            worst[terms.intermediate] = max(worst[terms.intermediate], ratio)
    assert 0.2 < worst[name] <= 1
    assert worst["float32"] > 1


LOGITS = draw(np.random.default_rng(5)).astype(np.float64)
HOW = r.Routing(4, softmax_first=True, renormalise=False, scale=2.5)


@pytest.mark.parametrize(
    "change",
    [{"renormalise": True}, {"softmax_first": False}, {"scale": 2.4999}, {"scale": 1.0}],
    ids=str,
)
def test_fault_leaves_the_bound(change):
    weights, chosen = r.route(LOGITS, none(LOGITS), HOW)
    wrong, _ = r.route(LOGITS, none(LOGITS), r.Routing(**{**fields(HOW), **change}))
    assert rho(wrong, weights, r.weights_bound(LOGITS, weights, chosen, HOW, FP32)) > 2


def fields(how):
    return {name: getattr(how, name) for name in how.__dataclass_fields__}


def call(logits, order="softmax-then-topk", bias=None, **attributes):
    inputs = {"logits": logits, "selection_bias": none(logits) if bias is None else bias}
    given = {"top_k": 2, "order": order, **attributes}
    return OperatorCall("MoERouter", 23, inputs, given, ("weights", "indices"), OWN_DOMAIN)


def test_indices_are_integers_that_have_to_be_equal():
    wanted = expected(call(draw(np.random.default_rng(0))), FP32)["indices"]
    assert wanted.dtype == "int64"
    assert (wanted.bound == 0).all()


def test_a_choice_that_rounding_decides_is_not_judged_but_refused():
    near = np.array([[0.5, 0.5 + 2**-20, -1.0, -2.0]], f32)
    assert expected(call(near, "topk-then-softmax"), FP32)  # logits are compared as they are
    with pytest.raises(SpecError, match=r"rounding decides which experts 1 of 1 tokens"):
        expected(call(near, top_k=1), contract("bfloat16"))


def test_equal_shares_are_not_judged_and_equal_logits_are():
    equal = np.array([[0.5, 0.5, -1.0, -2.0]], f32)
    assert expected(call(equal, "topk-then-softmax"), FP32)["indices"].value.tolist() == [[0, 1]]
    with pytest.raises(SpecError, match="rounding decides"):
        expected(call(equal), FP32)


def test_what_is_not_chosen_may_be_as_close_as_it_likes():
    behind = np.array([[2.0, 1.0, -1.0, -1.0 - 2**-20]], f32)
    assert expected(call(behind), FP32)
