"""Decoders that are no Llama."""

from __future__ import annotations

from reference_model.config import Attention, Experts, Mlp, ModelConfig, Norm, Rope, Yarn
from reference_model.weights import Design
from reference_model.zoo.seeded import SuiteModel

GPT2 = SuiteModel(
    name="gpt2-learned",
    summary="learned positions, LayerNorm, biases everywhere, GELU without a gate, tied",
    config=ModelConfig(
        vocab=512,
        dim=96,
        layers=3,
        attention=Attention(heads=4, kv_heads=4, head_dim=24, qkv_bias=True, out_bias=True),
        rope=None,
        norm=Norm(eps=1e-5, centred=True),
        mlp=Mlp(hidden=256, activation="gelu_tanh", gated=False, bias=True),
        tied=True,
        max_positions=1024,
        learned_positions=True,
    ),
    seed=9,
    digest="3253cb2d663265f1df0dd2ac1bea8c906697162099fb3f5c6d5ca984e8eb92c3",
    design=Design(embedding=0.05, block=0.25),
)

GPT_OSS = SuiteModel(
    name="gptoss-sinks",
    summary="heads with sinks, windows in every other layer, experts of clamped units, biases",
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
            qkv_bias=True,
            out_bias=True,
            sinks=True,
        ),
        # Neither border of the ramp is a whole pair.
        rope=Rope(theta=150000.0, scaling=Yarn(8.0, 512, truncate=False)),
        norm=Norm(eps=1e-5, wide=True),
        # Of the gates every ninth or so is clamped; the released models' limit is 7.
        mlp=Mlp(
            hidden=48,
            bias=True,
            experts=Experts(6, 3, softmax_first=False, renormalise=False, bias=True),
            limit=2.0,
            sharpness=1.702,
            offset=1.0,
        ),
        tied=False,
        max_positions=4096,
    ),
    seed=11,
    digest="97bfedacabdb8d817cc6e960b7c29c8a539d30f37f5db57b479c0a683439f9e3",
    design=Design(),
)

BLOOM = SuiteModel(
    name="bloom-alibi",
    summary="scores fall with distance, by slopes of six heads; a normalised embedding, tied",
    config=ModelConfig(
        vocab=512,
        dim=96,
        layers=3,
        attention=Attention(
            heads=6, kv_heads=6, head_dim=16, qkv_bias=True, out_bias=True, alibi=True
        ),
        rope=None,
        norm=Norm(eps=1e-5, centred=True),
        mlp=Mlp(hidden=384, activation="gelu_tanh", gated=False, bias=True),
        tied=True,
        max_positions=2048,
        embedding_norm=True,
    ),
    seed=13,
    digest="b45449adbd9985b0c86bd6f628959b4a51b413be2e4b040a81888aa67ddf752a",
    design=Design(embedding=0.05, block=0.25),
)
