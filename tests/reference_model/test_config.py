from __future__ import annotations

import dataclasses

import pytest

from reference_model.config import Attention, Linear, Llama3, Mlp, Norm, Rope
from reference_model.config_rules import validate

CONTRADICTIONS = {
    "vocab": {"vocab": 0},
    "dim": {"dim": 0},
    "layers": {"layers": 0},
    "max_positions": {"max_positions": 0},
    "attention.heads": {"attention": Attention(0, 1, 8)},
    "attention.kv_heads": {"attention": Attention(4, 0, 8)},
    "4, which 3 kv_heads do not divide": {"attention": Attention(4, 3, 8)},
    "2, which 4 kv_heads do not divide": {"attention": Attention(2, 4, 8)},
    "head_dim is 7": {"attention": Attention(4, 2, 7)},
    "norm.eps is 0": {"norm": Norm(0.0)},
    "norm.eps is nan": {"norm": Norm(float("nan"))},
    "mlp.hidden": {"mlp": Mlp(0)},
    "rope.theta is 1": {"rope": Rope(1.0)},
    "rope.theta is inf": {"rope": Rope(float("inf"))},
    "factor is 0.5": {"rope": Rope(10.0, Linear(0.5))},
    "factor is nan": {"rope": Rope(10.0, Linear(float("nan")))},
    "low_freq_factor 4": {"rope": Rope(10.0, Llama3(8.0, 4.0, 4.0, 32))},
    "low_freq_factor 0": {"rope": Rope(10.0, Llama3(8.0, 0.0, 4.0, 32))},
    "attention.softcap is 0": {"attention": Attention(4, 2, 8, softcap=0.0)},
    "attention.query_scalar is -1": {"attention": Attention(4, 2, 8, query_scalar=-1)},
    "logit_softcap is inf": {"logit_softcap": float("inf")},
    "embedding_scale is nan": {"embedding_scale": float("nan")},
    "attention.window is 0": {"attention": Attention(4, 2, 8, window=0)},
    "there is no window": {"attention": Attention(4, 2, 8, full_layers=frozenset({0}))},
    "the layers are 0 to 1": {"attention": Attention(4, 2, 8, 4, frozenset({2}))},
    "no layer has it": {"attention": Attention(4, 2, 8, 4, frozenset({0, 1}))},
    "original_max_positions is 0": {"rope": Rope(10.0, Llama3(8.0, 1.0, 4.0, 0))},
}


def test_every_variant_is_valid(variant):
    assert validate(variant) is None


@pytest.mark.parametrize("told", CONTRADICTIONS)
def test_a_contradiction_is_told_with_its_value(small, told):
    with pytest.raises(ValueError, match=told):
        validate(dataclasses.replace(small, **CONTRADICTIONS[told]))


def test_a_config_cannot_be_changed(small):
    with pytest.raises(dataclasses.FrozenInstanceError):
        small.vocab = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        small.attention.heads = 1
