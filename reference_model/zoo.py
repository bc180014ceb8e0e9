"""The suite's own models: tiny decoders that together use every mechanism of the architecture.

A model is a config, a seed and the digest that its weights must have; nothing is downloaded. They
know no language. Beside them stand the planted models, whose logits are known in closed form, and
one that was trained, whose weights are a file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from reference_model import planted, trained
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
from reference_model.encoder.zoo import ENCODERS
from reference_model.weights import Design, make_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from reference_model.encoder.zoo import SuiteEncoder
    from reference_model.planted import PlantedModel
    from reference_model.trained import TrainedModel


@dataclass(frozen=True, slots=True)
class SuiteModel:
    """One of the suite's models. ``digest`` is ``weights.digest`` of its weights."""

    name: str
    summary: str
    config: ModelConfig
    seed: int
    digest: str
    design: Design

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights, float32, in canonical order."""
        return make_weights(self.config, self.seed, self.design)


_GQA = SuiteModel(
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

_MQA_TIED = SuiteModel(
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

_MHA_SCALED = SuiteModel(
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

_MISTRAL = SuiteModel(
    name="mistral-window",
    summary="every layer sees the last 13 keys alone",
    config=ModelConfig(
        vocab=512,
        dim=96,
        layers=2,
        attention=Attention(heads=6, kv_heads=2, head_dim=16, window=13),
        rope=Rope(theta=10000.0),
        norm=Norm(eps=1e-5),
        mlp=Mlp(hidden=256),
        tied=False,
        max_positions=4096,
    ),
    seed=4,
    digest="a0776596004152b1ebf83d6a9e8620ce11816f0d390d6c2435d9563d8fed9c15",
    design=Design(),
)

_QWEN2 = SuiteModel(
    name="qwen2-bias",
    summary="biases of queries, keys and values, windows in the later layers, tied",
    config=ModelConfig(
        vocab=512,
        dim=96,
        layers=3,
        attention=Attention(
            heads=4,
            kv_heads=2,
            head_dim=24,
            window=21,
            full_layers=frozenset({0}),
            qkv_bias=True,
        ),
        rope=Rope(theta=1000000.0),
        norm=Norm(eps=1e-6),
        mlp=Mlp(hidden=256),
        tied=True,
        max_positions=4096,
    ),
    seed=5,
    digest="a0ceb8afe19123a1b6ff7a9e5850ea29b9fceacfa1efa06ff6059deba8554e8b",
    design=Design(embedding=0.05, block=0.25),
)

_QWEN3 = SuiteModel(
    name="qwen3-qk-norm",
    summary="normalised queries and keys, heads wider than the model, every other layer windowed",
    config=ModelConfig(
        vocab=512,
        dim=96,
        layers=3,
        attention=Attention(
            heads=4,
            kv_heads=2,
            head_dim=32,
            window=9,
            full_layers=frozenset({1}),
            qk_norm=True,
        ),
        rope=Rope(theta=10000.0),
        norm=Norm(eps=1e-6),
        mlp=Mlp(hidden=256),
        tied=False,
        max_positions=4096,
    ),
    seed=6,
    digest="7b49dd142f44490fb839fa3d4c7f06ac9a4b352ea1f37a799226185c34d28c97",
    design=Design(),
)

_GEMMA2 = SuiteModel(
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

_GEMMA3 = SuiteModel(
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

_PHI3 = SuiteModel(
    name="phi3-longrope",
    summary="three quarters of a head are turned, by LongRoPE beyond 1024 positions; a window",
    config=ModelConfig(
        vocab=512,
        dim=96,
        layers=2,
        attention=Attention(heads=3, kv_heads=1, head_dim=32, window=37),
        rope=Rope(
            theta=10000.0,
            scaling=LongRope(
                short=(1.0, 1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.0),
                long=(1.0, 1.1, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.0, 4.5, 5.0),
                factor=4.0,
                original_max_positions=1024,
            ),
            share=0.75,
        ),
        norm=Norm(eps=1e-5),
        mlp=Mlp(hidden=256),
        tied=False,
        max_positions=4096,
    ),
    seed=10,
    digest="194cd2106676d31550af763d79537c4a4cb6ea5949dbe4c7a82d5d55b73aa668",
    design=Design(),
)

_YARN = SuiteModel(
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

_GPT2 = SuiteModel(
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

_MIXTRAL = SuiteModel(
    name="mixtral-routed",
    summary="each token by two of six experts, which no rounding can choose otherwise",
    config=ModelConfig(
        vocab=512,
        dim=96,
        layers=3,
        attention=Attention(heads=6, kv_heads=2, head_dim=16),
        rope=Rope(theta=1000000.0),
        norm=Norm(eps=1e-5),
        mlp=Mlp(hidden=64, experts=Experts(count=6, chosen=2)),
        tied=False,
        max_positions=4096,
    ),
    seed=10,
    digest="31dd997d52ce79def450a42e21df7458c5fcdaca6143b9bc548cb82fb78c83f7",
    design=Design(),
)

_LONG = SuiteModel(
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

_LONGEST = SuiteModel(
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

MODELS: Mapping[str, SuiteModel] = MappingProxyType(
    {
        model.name: model
        for model in (
            _GQA,
            _MQA_TIED,
            _MHA_SCALED,
            _MISTRAL,
            _QWEN2,
            _QWEN3,
            _GEMMA2,
            _GEMMA3,
            _PHI3,
            _YARN,
            _GPT2,
            _MIXTRAL,
            _LONG,
            _LONGEST,
        )
    }
)
"""The seeded models by name."""

ALL: Mapping[str, SuiteModel | PlantedModel | TrainedModel | SuiteEncoder] = MappingProxyType(
    {**MODELS, **planted.MODELS, trained.BYTES.name: trained.BYTES, **ENCODERS}
)
"""Every model of the suite by name: seeded, planted and trained decoders, and encoders."""
