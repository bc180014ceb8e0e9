"""Llamas: kinds of heads, of scalings of the rotation, and lengths."""

from __future__ import annotations

from reference_model.config import Attention, Llama3, Mlp, ModelConfig, Norm, Rope, Yarn
from reference_model.weights import Design
from reference_model.zoo.seeded import SuiteModel

GQA = SuiteModel(
    name="llama-gqa",
    summary="grouped-query attention, 4 layers, head of its own",
    config=ModelConfig(
        vocab=512,
        dim=128,
        layers=4,
        attention=Attention(heads=8, kv_heads=2, head_dim=16),
        rope=Rope(theta=10000.0),
        norm=Norm(eps=1e-5),
        mlp=Mlp(hidden=352),
        tied=False,
        max_positions=4096,
    ),
    seed=1,
    digest="ae7f8a89e516cc14b25432a53f51f411a5e770b459b689866b3578260a316644",
    design=Design(),
)

MQA_TIED = SuiteModel(
    name="llama-mqa-tied",
    summary="multi-query attention wider than the model, embedding tied to the head",
    config=ModelConfig(
        vocab=512,
        dim=96,
        layers=2,
        attention=Attention(heads=6, kv_heads=1, head_dim=24),
        rope=Rope(theta=500000.0),
        norm=Norm(eps=1e-6),
        mlp=Mlp(hidden=256),
        tied=True,
        max_positions=4096,
    ),
    seed=2,
    digest="5dee5186c923e332bedfe51780a0db5375ebac1808c25ac2c6187f9d70c35ff7",
    # Blocks outweigh the embedding, or each token would predict itself.
    design=Design(embedding=0.05, block=0.25),
)

MHA_SCALED = SuiteModel(
    name="llama-mha-scaled",
    summary="multi-head attention, Llama 3 frequency scaling, outlier channels, ladder of margins",
    config=ModelConfig(
        vocab=512,
        dim=128,
        layers=2,
        attention=Attention(heads=4, kv_heads=4, head_dim=32),
        rope=Rope(theta=10000.0, scaling=Llama3(8.0, 1.0, 4.0, 32)),
        norm=Norm(eps=1e-5),
        mlp=Mlp(hidden=352),
        tied=False,
        max_positions=4096,
    ),
    seed=3,
    digest="57a4988f47479d25c38d568a8f9dfa3f24090b32b7860a7a6aa9f6bcf540dfa8",
    design=Design(outliers=2, ladder=True),
)

YARN = SuiteModel(
    name="llama-yarn",
    summary="frequencies and scores scaled by YaRN to sixteen times an original 64 positions",
    config=ModelConfig(
        vocab=512,
        dim=96,
        layers=2,
        attention=Attention(heads=3, kv_heads=1, head_dim=32),
        # Seven pairs are on the ramp; its borders are not those of who gives none.
        rope=Rope(theta=10000.0, scaling=Yarn(16.0, 64, beta_fast=6.0, beta_slow=0.5)),
        norm=Norm(eps=1e-5),
        mlp=Mlp(hidden=256),
        tied=False,
        max_positions=1024,
    ),
    seed=8,
    digest="27a13a778c7fd6908390f7e1c6ef2711920a9aa48265ddd186b10945abe2f7c3",
    design=Design(),
)

LONG = SuiteModel(
    name="llama-long",
    summary="a small one for long contexts: 131072 positions, scaled beyond an original 16384",
    config=ModelConfig(
        vocab=256,
        dim=64,
        layers=2,
        attention=Attention(heads=2, kv_heads=1, head_dim=32),
        rope=Rope(theta=500000.0, scaling=Llama3(8.0, 1.0, 4.0, 16384)),
        norm=Norm(eps=1e-5),
        mlp=Mlp(hidden=176),
        tied=False,
        max_positions=131072,
    ),
    seed=4,
    digest="83de0e208fef73dd6d998b74cce09fbff8e580d5a2a9d3a76de9781b34cd56ff",
    design=Design(),
)

LONGEST = SuiteModel(
    name="llama-longest",
    summary="one layer and one head, for prompts of 32768 tokens that are checked at little cost",
    config=ModelConfig(
        vocab=256,
        dim=32,
        layers=1,
        attention=Attention(heads=1, kv_heads=1, head_dim=32),
        rope=Rope(theta=500000.0),
        norm=Norm(eps=1e-5),
        mlp=Mlp(hidden=64),
        tied=False,
        max_positions=65536,
    ),
    seed=5,
    digest="b7cdd4568b26ae603a90a49c8bbad81b70ac100547f7e76c40dd9ce2b5c165d5",
    design=Design(),
)
