"""Gemmas: caps, norms behind, GELU and scaled embeddings."""

from __future__ import annotations

import math

from reference_model.config import Attention, Linear, Mlp, ModelConfig, Norm, Rope
from reference_model.weights import Design
from reference_model.zoo.seeded import SuiteModel

GEMMA2 = SuiteModel(
    name="gemma2-capped",
    summary="capped scores and logits, four norms a layer, GELU, scaled embeddings, windows",
    config=ModelConfig(
        vocab=512,
        dim=96,
        layers=3,
        attention=Attention(
            heads=4,
            kv_heads=2,
            head_dim=32,
            window=11,
            full_layers=frozenset({1}),
            query_scalar=24,
            softcap=4.0,
        ),
        rope=Rope(theta=10000.0),
        norm=Norm(eps=1e-6, offset=1.0, wide=True),
        mlp=Mlp(hidden=256, activation="gelu_tanh"),
        tied=True,
        max_positions=4096,
        post_norms=True,
        embedding_scale=math.sqrt(96),
        logit_softcap=10.0,
    ),
    seed=7,
    digest="5fad1086161b627fc7d607698cbf2c674147236267c5dd6fcf91cebbe3f6878f",
    # Blocks outweigh the scaled embedding, or each token would predict itself.
    design=Design(embedding=0.005, block=0.1),
)

GEMMA3 = SuiteModel(
    name="gemma3-local",
    summary="windowed layers turn by a base of their own, the others' is scaled; normalised heads",
    config=ModelConfig(
        vocab=512,
        dim=96,
        layers=3,
        attention=Attention(
            heads=4,
            kv_heads=2,
            head_dim=32,
            window=9,
            full_layers=frozenset({2}),
            qk_norm=True,
            query_scalar=24,
        ),
        rope=Rope(theta=1000000.0, scaling=Linear(8.0)),
        norm=Norm(eps=1e-6, offset=1.0, wide=True),
        mlp=Mlp(hidden=256, activation="gelu_tanh"),
        tied=True,
        max_positions=4096,
        post_norms=True,
        embedding_scale=math.sqrt(96),
        local_rope=Rope(theta=10000.0),
    ),
    seed=9,
    digest="37708ba0f1c3a544174bc013d3526810a1b74c9d61365feb486b08d46ae96b0a",
    # Blocks outweigh the scaled embedding, or each token would predict itself.
    design=Design(embedding=0.005, block=0.1),
)
