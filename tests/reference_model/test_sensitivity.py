"""The suite's weights show faults: each one moves the logits far beyond float32's rounding."""

from __future__ import annotations

import contextlib
import dataclasses
from unittest import mock

import numpy as np
import pytest
import torch

from reference_model import mlp
from reference_model import model as m
from reference_model.config import Rope
from reference_model.zoo import MODELS

SEEN = 20.0
"""Noise units that every fault reaches here; a candidate is allowed 3."""


def other_eps(config):
    other = 1e-6 if config.norm.eps == 1e-5 else 1e-5
    return {"norm": dataclasses.replace(config.norm, eps=other)}


def other_theta(config):
    """Every layer's base; where most layers see a few keys only, ten times as far off."""
    ropes = {"rope": config.rope, "local_rope": config.local_rope}
    factor = 1.001 if config.local_rope else 1.0001
    return {
        name: dataclasses.replace(rope, theta=rope.theta * factor)
        for name, rope in ropes.items()
        if rope is not None
    }


def no_scaling(config):
    return {"rope": Rope(config.rope.theta)}


def one_key_too_many(mask_BS, tokens):
    slot_S = torch.arange(mask_BS.shape[1])
    causal_TS = slot_S <= slot_S[-tokens:, None] + 1
    return causal_TS & (mask_BS != 0)[:, None, None, :]


def unscaled(q_BHTK, *others, attend=m.attend):
    return attend(q_BHTK * q_BHTK.shape[-1] ** 0.5, *others)


def neighbours(_self, x_BHTK, phases):
    cos, sin = phases
    turned, rest = x_BHTK.tensor_split([2 * cos.shape[-1]], dim=-1)
    even, odd = turned[..., ::2], turned[..., 1::2]
    pairs = torch.stack((even * cos - odd * sin, odd * cos + even * sin), -1).flatten(-2)
    return torch.cat((pairs, rest), -1)


def backwards(self, x_BHTK, phases, forward=m.Rotary.forward):
    return forward(self, x_BHTK, (phases[0], -phases[1]))


def gelu(self, x_BTD):
    gate_BTF = torch.nn.functional.gelu(self.gate_proj(x_BTD))
    return self.down_proj(gate_BTF * self.up_proj(x_BTD))


def tiled(x_BGSK, times, dim):
    assert dim == 1
    return x_BGSK.repeat(1, times, 1, 1)


CONFIGS = {"eps": other_eps, "theta": other_theta, "scaling": no_scaling}
CODE = {
    "mask": (m, "allowed_keys", one_key_too_many),
    "scale": (m, "attend", unscaled),
    "pairs": (m.Rotary, "forward", neighbours),
    "sign": (m.Rotary, "forward", backwards),
    "activation": (mlp.Mlp, "forward", gelu),
    "heads": (torch.Tensor, "repeat_interleave", tiled),
}


def applies(fault, config):
    """Say whether a fault changes what such a decoder computes at all."""
    groups = config.attention.kv_heads
    neutral = {
        "scaling": config.rope is None or config.rope.scaling is None,
        **dict.fromkeys(("theta", "sign"), config.rope is None),
        "pairs": config.rope is None or config.rope.interleaved,
        "activation": not config.mlp.gated,
        "heads": groups in (1, config.attention.heads),
    }
    return not neutral.get(fault, False)


CASES = [
    (name, fault)
    for name, model in MODELS.items()
    for fault in (*CONFIGS, *CODE)
    if applies(fault, model.config)
]


def logits(config, weights, dtype=torch.float32):
    ids = torch.from_numpy(np.random.default_rng(7).integers(0, config.vocab, (4, 64)))
    position = torch.arange(64).expand(4, 64)
    decoder = m.build_decoder(config, weights, dtype)
    with torch.inference_mode():
        return decoder(ids, torch.ones_like(ids), position).logits_BTV.double()


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_a_fault_moves_the_logits_far_beyond_the_noise(name, fault):
    config, weights = MODELS[name].config, MODELS[name].weights()
    exact = logits(config, weights, torch.float64)
    unit = (logits(config, weights) - exact).square().mean().sqrt()
    changed = dataclasses.replace(config, **CONFIGS[fault](config)) if fault in CONFIGS else config
    patch = mock.patch.object(*CODE[fault]) if fault in CODE else contextlib.nullcontext()
    with patch:
        error = (logits(changed, weights) - exact).square().mean().sqrt()
    assert error / unit > SEEN


def attention_factor(config):
    """Return what rotation multiplies queries and keys by: the cosine at position 0."""
    if config.rope is None:
        return 1.0
    rotary = m.Rotary(config.rope, config.attention.head_dim)
    return rotary.phases(torch.zeros(1, 1, dtype=torch.int64), torch.float64)[0].max().item()


@pytest.mark.parametrize("name", MODELS)
def test_scores_logits_and_blocks_have_the_aimed_sizes(name, monkeypatch):
    config, design = MODELS[name].config, MODELS[name].design
    spreads = []
    attend = m.attend

    def seen(q_BHTK, k_BHSK, v_BHSK, allowed_B1TS, *others):
        scores_BHTS = q_BHTK @ k_BHSK.mT / config.attention.head_dim**0.5
        spreads.append(scores_BHTS[allowed_B1TS.expand_as(scores_BHTS)].std().item())
        return attend(q_BHTK, k_BHSK, v_BHSK, allowed_B1TS, *others)

    monkeypatch.setattr(m, "attend", seen)
    spread = logits(config, MODELS[name].weights(), torch.float64).std().item()
    scaled = design.score * attention_factor(config) ** 2
    assert all(0.5 < one / scaled < 1.7 for one in spreads)
    assert 0.8 < spread / design.logit < 1.2
    decoder = m.build_decoder(config, MODELS[name].weights(), torch.float64)
    ids = torch.arange(64).view(1, 64)
    with torch.inference_mode():
        taps = decoder(ids, torch.ones_like(ids), ids, taps=True).taps
    for i in range(config.layers):
        for part in ("attention", "mlp"):
            share = taps[f"layer.{i}.{part}"].std() / taps[f"layer.{i}"].std()
            assert share > 0.15, (i, part)
