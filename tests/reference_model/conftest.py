"""Small decoders for the reference model's tests."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from reference_model.config import (
    Attention,
    Experts,
    Linear,
    Llama3,
    LongRope,
    Mlp,
    ModelConfig,
    Norm,
    Rope,
    Yarn,
)

SMALL = ModelConfig(
    vocab=40,
    dim=24,
    layers=2,
    attention=Attention(heads=4, kv_heads=2, head_dim=8),
    rope=Rope(theta=10000.0),
    norm=Norm(eps=1e-5),
    mlp=Mlp(hidden=32),
    tied=False,
    max_positions=256,
)

VARIANTS = {
    "grouped": SMALL,
    "multi-head": dataclasses.replace(SMALL, attention=Attention(4, 4, 6)),
    "multi-query": dataclasses.replace(SMALL, attention=Attention(4, 1, 6)),
    "free-head-dim": dataclasses.replace(SMALL, attention=Attention(4, 2, 10)),
    "tied": dataclasses.replace(SMALL, tied=True),
    "one-layer": dataclasses.replace(SMALL, layers=1),
    "theta": dataclasses.replace(SMALL, rope=Rope(500000.0)),
    "linear": dataclasses.replace(SMALL, rope=Rope(10000.0, Linear(4.0))),
    "llama3": dataclasses.replace(SMALL, rope=Rope(10000.0, Llama3(8.0, 1.0, 4.0, 32))),
    "yarn": dataclasses.replace(SMALL, rope=Rope(10000.0, Yarn(16.0, 16, 4.0, 0.25))),
    "yarn-by-weights": dataclasses.replace(
        SMALL,
        rope=Rope(10000.0, Yarn(8.0, 32, truncate=False, mscale=0.7, mscale_all_dim=0.4)),
    ),
    "yarn-of-a-factor": dataclasses.replace(
        SMALL, rope=Rope(10000.0, Yarn(8.0, 32, attention_factor=1.25))
    ),
    "part-of-a-head": dataclasses.replace(
        SMALL, attention=Attention(4, 2, 6, window=9), rope=Rope(10000.0, share=0.67)
    ),
    "longrope": dataclasses.replace(
        SMALL,
        attention=Attention(4, 2, 6),
        rope=Rope(10000.0, LongRope((1.0, 1.5, 2.0), (1.0, 2.0, 4.0), 8.0, 32)),
    ),
    "longrope-given": dataclasses.replace(
        SMALL,
        attention=Attention(4, 2, 6),
        rope=Rope(1e4, LongRope((1.0, 1.5), (1.0, 2.0), 3.0, 32, attention_factor=1.2), share=0.67),
    ),
    "neighbours": dataclasses.replace(
        SMALL,
        attention=Attention(4, 2, 8, qkv_bias=True),
        rope=Rope(10000.0, share=0.5, interleaved=True),
        post_norms=True,
    ),
    "neighbours-of-whole-heads": dataclasses.replace(
        SMALL, rope=Rope(10000.0, interleaved=True), post_norms=True
    ),
    "eps": dataclasses.replace(SMALL, norm=Norm(1e-3)),
    "hidden": dataclasses.replace(SMALL, mlp=Mlp(20)),
    "vocab": dataclasses.replace(SMALL, vocab=7),
    "window": dataclasses.replace(SMALL, attention=Attention(4, 2, 8, window=5)),
    "window-by-layer": dataclasses.replace(
        SMALL, attention=Attention(4, 2, 8, 3, frozenset({1}), qk_norm=True)
    ),
    "window-from-a-layer-on": dataclasses.replace(
        SMALL, attention=Attention(4, 2, 8, 4, frozenset({0}), qkv_bias=True)
    ),
    "biased": dataclasses.replace(SMALL, attention=Attention(4, 2, 8, qkv_bias=True)),
    "gemma": dataclasses.replace(
        SMALL,
        attention=Attention(4, 2, 8, 5, frozenset({1}), query_scalar=6, softcap=3.0),
        norm=Norm(1e-6, offset=1.0, wide=True),
        mlp=Mlp(32, "gelu_tanh"),
        tied=True,
        post_norms=True,
        embedding_scale=math.sqrt(24),
        logit_softcap=4.0,
    ),
    "gpt2": dataclasses.replace(
        SMALL,
        attention=Attention(4, 4, 6, qkv_bias=True, out_bias=True),
        rope=None,
        norm=Norm(1e-5, centred=True),
        mlp=Mlp(32, "gelu_tanh", gated=False, bias=True),
        tied=True,
        learned_positions=True,
    ),
    "gpt2-erf-untied": dataclasses.replace(
        SMALL,
        attention=Attention(2, 2, 12, qkv_bias=True, out_bias=True),
        rope=None,
        norm=Norm(1e-3, centred=True),
        mlp=Mlp(20, "gelu", gated=False, bias=True),
        learned_positions=True,
    ),
    "gpt2-relu": dataclasses.replace(
        SMALL,
        attention=Attention(4, 4, 6, qkv_bias=True, out_bias=True),
        rope=None,
        norm=Norm(1e-5, centred=True),
        mlp=Mlp(32, "relu", gated=False, bias=True),
        tied=True,
        learned_positions=True,
    ),
    "bloom": dataclasses.replace(
        SMALL,
        attention=Attention(6, 6, 4, qkv_bias=True, out_bias=True, alibi=True),
        rope=None,
        norm=Norm(1e-5, centred=True),
        mlp=Mlp(96, "gelu_tanh", gated=False, bias=True),
        tied=True,
        embedding_norm=True,
    ),
    "gemma-3": dataclasses.replace(
        SMALL,
        attention=Attention(4, 2, 8, 5, frozenset({1}), qk_norm=True, query_scalar=6),
        rope=Rope(1e6, Linear(8.0)),
        norm=Norm(1e-6, offset=1.0, wide=True),
        mlp=Mlp(32, "gelu_tanh"),
        tied=True,
        post_norms=True,
        embedding_scale=math.sqrt(24),
        local_rope=Rope(1e4),
    ),
    "mixture": dataclasses.replace(SMALL, mlp=Mlp(12, experts=Experts(6, 2))),
    "mixture-of-four-and-three": dataclasses.replace(SMALL, mlp=Mlp(20, experts=Experts(4, 3))),
    "mixture-windowed": dataclasses.replace(
        SMALL, attention=Attention(4, 2, 8, window=5), mlp=Mlp(12, experts=Experts(5, 1))
    ),
    "gpt-oss": dataclasses.replace(
        SMALL,
        attention=Attention(4, 2, 8, 5, frozenset({1}), qkv_bias=True, out_bias=True, sinks=True),
        rope=Rope(150000.0, Yarn(8.0, 32, truncate=False)),
        norm=Norm(1e-5, wide=True),
        mlp=Mlp(
            12,
            bias=True,
            experts=Experts(5, 2, softmax_first=False, renormalise=False, bias=True),
            limit=1.5,
            sharpness=1.702,
            offset=1.0,
        ),
    ),
    "shared-expert": dataclasses.replace(
        SMALL,
        attention=Attention(4, 2, 6, qkv_bias=True),
        mlp=Mlp(32, experts=Experts(5, 2, renormalise=False, hidden=12, shared=20)),
    ),
    "shared-expert-between-dense-layers": dataclasses.replace(
        SMALL,
        attention=Attention(4, 2, 6, qkv_bias=True),
        layers=3,
        mlp=Mlp(32, experts=Experts(4, 3, hidden=12, shared=8, dense_layers=frozenset({0, 2}))),
    ),
    "normalised-heads": dataclasses.replace(SMALL, attention=Attention(4, 2, 8, qk_norm=True)),
}
"""One config for each value of a field that the decoder computes differently for."""


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small():
    return SMALL


@pytest.fixture(params=VARIANTS)
def variant(request):
    return VARIANTS[request.param]
