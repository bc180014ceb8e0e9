"""Activations, gated units, router and losses: every adapter answers them within the bounds."""

from __future__ import annotations

import numpy as np
import pytest

from conformance import spec
from conformance.oracles import standard
from conformance.records import OWN_DOMAIN, OperatorCall
from honest import rho

FP32 = spec.load().contracts["fp32"]


@pytest.fixture
def computing(candidate):
    if "operators" not in candidate.info.claims.capabilities:
        pytest.skip("claims no operators")
    return candidate


def normal(*shape, seed=0, scale=3.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def own(operator, inputs, attributes, outputs=("Y",)):
    return OperatorCall(operator, 23, inputs, attributes, outputs, OWN_DOMAIN)


X = {"X": normal(50)}
PAIR = {"gate": normal(3, 17), "up": normal(3, 17, seed=1)}
GPT_OSS = {"alpha": 1.702, "limit": 7.0, "offset": 1.0}
LOGITS = np.random.default_rng(2).permuted(np.tile(np.arange(8) / 2, (5, 1)), axis=1)
ROUTED = {
    "logits": LOGITS.astype(np.float32),
    "selection_bias": np.zeros(8, np.float32),
}
CHOSEN = ("weights", "indices")
LABELLED = {"scores": normal(6, 9), "labels": np.array([0, 8, 3, -100, 3, -100])}
SPREAD = {"scores": normal(2, 9, 3), "labels": np.array([[0, 8, 3], [-100, 3, -100]])}
WEIGHTED = {**LABELLED, "weights": np.exp(normal(9, seed=3))}
IGNORED = {"ignore_index": -100}
CALLS = {
    "tanh": OperatorCall("Tanh", 13, {"input": normal(50)}, {}, ("output",)),
    "relu": OperatorCall("Relu", 14, X),
    "gelu": OperatorCall("Gelu", 20, X),
    "gelu by tanh": OperatorCall("Gelu", 20, X, {"approximate": "tanh"}),
    "swiglu": own("SwiGLU", PAIR, {}),
    "swiglu of gpt-oss": own("SwiGLU", PAIR, GPT_OSS),
    "geglu": own("GeGLU", PAIR, {}),
    "geglu by tanh": own("GeGLU", PAIR, {"approximate": "tanh"}),
    "router": own("MoERouter", ROUTED, {"top_k": 3}, CHOSEN),
    "router renormalised": own(
        "MoERouter", ROUTED, {"top_k": 3, "renormalise": 1, "scale": 2.5}, CHOSEN
    ),
    "router choosing first": own(
        "MoERouter", ROUTED, {"top_k": 3, "order": "topk-then-softmax"}, CHOSEN
    ),
    **{
        f"loss {reduction} of {name}": OperatorCall(
            "SoftmaxCrossEntropyLoss",
            13,
            inputs,
            {**IGNORED, "reduction": reduction},
            ("output", "log_prob"),
        )
        for reduction in ("none", "sum", "mean")
        for name, inputs in {"rows": LABELLED, "positions": SPREAD, "weights": WEIGHTED}.items()
    },
    "smoothed": own(
        "LabelSmoothedCrossEntropy", LABELLED, {**IGNORED, "smoothing": 0.1}, ("output",)
    ),
    "perplexity": own("Perplexity", LABELLED, IGNORED, ("output",)),
    "squared error": own(
        "MeanSquaredError",
        {"predictions": normal(3, 7), "targets": normal(3, 7, seed=1)},
        {},
        ("output",),
    ),
    "divergence": own(
        "KLDivergence",
        {"p_scores": normal(3, 7), "q_scores": normal(3, 7, seed=1)},
        {},
        ("output",),
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_every_adapter_is_within_the_bounds(computing, case):
    call = CALLS[case]
    answer, wanted = computing.operator(call), standard.expected(call, FP32)
    assert list(answer) == list(call.outputs)
    for name, expected in wanted.items():
        assert answer[name].shape == expected.value.shape
        assert answer[name].dtype == expected.dtype
        assert rho(answer[name], expected.value, expected.bound) <= 1, name


def test_of_equal_experts_the_lower_index_comes_first(computing):
    tied = {**ROUTED, "logits": np.tile(np.float32([1, 3, 2, 3, 2, 0, 3, 1]), (2, 1))}
    attributes = {"top_k": 4, "order": "topk-then-softmax"}
    answer = computing.operator(own("MoERouter", tied, attributes, CHOSEN))
    assert answer["indices"].tolist() == [[1, 3, 6, 2]] * 2
