"""The reference model against an independent implementation, both in float64."""

from __future__ import annotations

import contextlib
import json
from unittest import mock

import numpy as np
import pytest
import torch

from reference_model.huggingface import open_folder, write_config
from reference_model.model import load_decoder
from reference_model.package import write_package
from reference_model.zoo import MODELS

transformers = pytest.importorskip("transformers")

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "original_max_position_embeddings": 16,
}
VARIANTS = {
    "grouped": {},
    "multi-query": {"num_key_value_heads": 1},
    "multi-head": {"num_key_value_heads": 4},
    "free head dim": {"head_dim": 14},
    "tied": {"tie_word_embeddings": True},
    "llama3": {"rope_parameters": LLAMA3 | {"rope_theta": 10000.0}},
    "linear": {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}},
    "large eps": {"rms_norm_eps": 1e-2},
    "yarn": {"rope_parameters": YARN},
    "yarn between pairs": {"rope_parameters": {**YARN, "truncate": False, "beta_fast": 5.0}},
    "yarn with a given factor": {"rope_parameters": {**YARN, "attention_factor": 1.3}},
    "yarn by two weights": {"rope_parameters": {**YARN, "mscale": 0.7, "mscale_all_dim": 0.4}},
    "yarn of a factor of 1": {"rope_parameters": {**YARN, "factor": 1.0}},
    "yarn without room for a ramp": {"rope_parameters": {**YARN, "beta_slow": 31.0}},
}
PREFIX = {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}
MIXED = {**PREFIX, "layer_types": ["sliding_attention", "full_attention"]}
GEMMA2 = {
    "head_dim": 8,
    "query_pre_attn_scalar": 5,
    "attn_logit_softcapping": 1.5,
    "final_logit_softcapping": 2.0,
    "sliding_window": 6,
    "tie_word_embeddings": True,
}
MIXTRAL = {"num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": None}
QWEN2_MOE = {
    "num_experts": 5,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 12,
    "shared_expert_intermediate_size": 20,
    "norm_topk_prob": False,
}
GPT_OSS = {
    "head_dim": 8,
    "num_local_experts": 5,
    "num_experts_per_tok": 2,
    "sliding_window": 6,
    "swiglu_limit": 1.5,
    "rope_parameters": {**YARN, "truncate": False},
}
GPT2 = {"n_embd": 24, "n_layer": 2, "n_head": 4, "n_inner": 32, "n_positions": 256}
GEMMA3 = {
    "head_dim": 8,
    "query_pre_attn_scalar": 5,
    "sliding_window": 6,
    "tie_word_embeddings": True,
    "layer_types": MIXED["layer_types"],
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
        "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
    },
}
PHI3 = {
    "hidden_size": 32,
    "original_max_position_embeddings": 64,
    "sliding_window": 12,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.75,
        "short_factor": [1.0, 1.25, 1.5],
        "long_factor": [1.0, 2.5, 4.0],
    },
}
GLM4 = {
    "head_dim": 8,
    "pad_token_id": None,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
    },
}
BLOOM = {"hidden_size": 24, "n_layer": 2, "n_head": 4}
FAMILIES = {
    "mistral": ("mistral", {"sliding_window": 7}),
    "mistral without a window": ("mistral", {"sliding_window": None, "head_dim": 14}),
    "mistral with a window of itself": ("mistral", {"sliding_window": 1}),
    "qwen2": ("qwen2", {"use_sliding_window": False}),
    "qwen2 tied": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2 windowed from a layer on": ("qwen2", PREFIX),
    "qwen2 windowed nowhere": ("qwen2", {**PREFIX, "max_window_layers": 2}),
    "qwen3": ("qwen3", {"head_dim": 14}),
    "qwen3 windowed by layer": ("qwen3", {**MIXED, "head_dim": 8}),
    "gemma2": ("gemma2", GEMMA2),
    "gemma2 without caps": (
        "gemma2",
        {**GEMMA2, "attn_logit_softcapping": None, "final_logit_softcapping": None},
    ),
    "gemma2 windowed by layer": ("gemma2", {**GEMMA2, "layer_types": MIXED["layer_types"][::-1]}),
    "mixtral": ("mixtral", MIXTRAL),
    "mixtral of one expert, windowed": (
        "mixtral",
        {**MIXTRAL, "num_experts_per_tok": 1, "sliding_window": 6},
    ),
    "mixtral of all its experts": ("mixtral", {**MIXTRAL, "num_experts_per_tok": 5}),
    "qwen2-moe": ("qwen2_moe", QWEN2_MOE),
    "qwen2-moe renormalised, of one expert, tied": (
        "qwen2_moe",
        {
            **QWEN2_MOE,
            "norm_topk_prob": True,
            "num_experts_per_tok": 1,
            "tie_word_embeddings": True,
        },
    ),
    "qwen2-moe in every other layer": (
        "qwen2_moe",
        {**QWEN2_MOE, "num_experts_per_tok": 3, "decoder_sparse_step": 2},
    ),
    "qwen2-moe without experts in a layer": ("qwen2_moe", {**QWEN2_MOE, "mlp_only_layers": [1]}),
    "gpt-oss": ("gpt_oss", GPT_OSS),
    "gpt-oss of the other layers, sharper": (
        "gpt_oss",
        {
            **GPT_OSS,
            "swiglu_alpha": 2.5,
            "swiglu_limit": 0.5,
            "layer_types": MIXED["layer_types"][::-1],
        },
    ),
    "gpt-oss without a window, of one expert": (
        "gpt_oss",
        {**GPT_OSS, "num_experts_per_tok": 1, "layer_types": ["full_attention"] * 2},
    ),
    "gpt2": ("gpt2", GPT2),
    "gpt2 untied": ("gpt2", {**GPT2, "tie_word_embeddings": False, "n_inner": None}),
    "gpt2 of other activations": ("gpt2", {**GPT2, "activation_function": "gelu"}),
    "gpt2 of relu": ("gpt2", {**GPT2, "activation_function": "relu"}),
    "gpt2 large eps": ("gpt2", {**GPT2, "layer_norm_epsilon": 1e-2, "n_head": 3}),
    "bloom": ("bloom", BLOOM),
    "bloom of six heads, large eps": ("bloom", {**BLOOM, "n_head": 6, "layer_norm_epsilon": 1e-2}),
    "bloom of twelve heads": ("bloom", {**BLOOM, "n_head": 12}),
    "bloom of one head": ("bloom", {**BLOOM, "n_head": 1}),
    "gemma3": ("gemma3_text", GEMMA3),
    "gemma3 with capped logits": ("gemma3_text", {**GEMMA3, "final_logit_softcapping": 2.0}),
    "gemma3 untied, unscaled": (
        "gemma3_text",
        {
            **GEMMA3,
            "tie_word_embeddings": False,
            "rope_parameters": {
                **GEMMA3["rope_parameters"],
                "full_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        },
    ),
    "phi3": ("phi3", PHI3),
    "phi3 of a part of each head": (
        "phi3",
        {
            **PHI3,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1000.0,
                "partial_rotary_factor": 0.5,
            },
        },
    ),
    "phi3 of whole heads, without a window": (
        "phi3",
        {
            **PHI3,
            "sliding_window": None,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
        },
    ),
    "glm4": ("glm4", GLM4),
    "glm4 of whole heads, without biases": (
        "glm4",
        {
            **GLM4,
            "attention_bias": False,
            "head_dim": 6,
            "rope_parameters": {**GLM4["rope_parameters"], "partial_rotary_factor": 1.0},
        },
    ),
    "qwen3 large eps": ("qwen3", {"head_dim": 8, "rms_norm_eps": 1e-2}),
}


@contextlib.contextmanager
def float64_inside():
    """Let transformers compute in float64 where it names float32: norm, phases and softmax."""
    with (
        mock.patch.object(torch, "float32", torch.float64),
        mock.patch.object(torch, "float", torch.float64),
        mock.patch.object(torch.Tensor, "float", torch.Tensor.double),
        # BLOOM's class has the root of 2 / pi to eight digits.
        mock.patch.object(
            transformers.models.bloom.modeling_bloom,
            "bloom_gelu_forward",
            lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
        ),
    ):
        yield


def theirs(folder):
    """Return transformers' decoder, its frequencies made anew in float64."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float64,
        attn_implementation="eager",
        experts_implementation="eager",  # the default multiplies in float32 at most
    )
    if model.config.model_type in ("gpt2", "bloom"):  # which have no constants of their own
        return model.eval()
    with float64_inside():
        model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    if hasattr(model.model.embed_tokens, "embed_scale"):  # a buffer of float32 otherwise
        scale = torch.tensor(model.config.hidden_size**0.5, dtype=torch.float64)
        model.model.embed_tokens.embed_scale = scale
    return model.eval()


def save(folder, options, family="llama", **how):
    base = {
        "vocab_size": 50,
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "initializer_range": 0.4,
    }
    if family in ("gpt2", "bloom"):
        base = {"vocab_size": 50, "initializer_range": 0.4}
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(family, **(base | options))
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "ln_" in name:
                parameter.uniform_(0.5, 1.5)
            if name.endswith("bias"):
                parameter.normal_(std=0.5)
    model.save_pretrained(folder, **how)


def batch(vocab, tokens=40, pad=0):
    """Return ids, mask and positions (2, tokens), the second row padded on the left."""
    ids = torch.from_numpy(np.random.default_rng(2).integers(0, vocab, (2, tokens)))
    mask = torch.ones_like(ids)
    mask[1, :pad] = 0
    return ids, mask, (mask.cumsum(-1) - 1).clamp(min=0)


def assert_agree(folder, vocab, pad=0):
    ids, mask, position = batch(vocab, pad=pad)
    model = theirs(folder)
    with torch.no_grad(), float64_inside():
        expected = model(input_ids=ids, attention_mask=mask, position_ids=position).logits
    with torch.no_grad():
        observed = load_decoder(folder, torch.float64)(ids, mask, position).logits_BTV
    real = mask.bool()
    assert expected.dtype == observed.dtype == torch.float64
    assert expected[real].std() > 0.3
    torch.testing.assert_close(observed[real], expected[real], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("pad", [0, 9])
def test_logits_agree(tmp_path, name, pad):
    save(tmp_path, VARIANTS[name])
    assert_agree(tmp_path, 50, pad)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("pad", [0, 9])
def test_logits_of_every_family_agree(tmp_path, name, pad):
    family, options = FAMILIES[name]
    save(tmp_path, options, family)
    assert_agree(tmp_path, 50, pad)


@pytest.mark.parametrize("last", [63, 64, 255])
def test_longrope_agrees_on_both_sides_of_the_original_length(tmp_path, last):
    save(tmp_path, PHI3, "phi3", max_shard_size="10KB")
    ids, mask, position = batch(50, tokens=40, pad=9)
    position = position + last - position.max()
    model = theirs(tmp_path)
    with torch.no_grad(), float64_inside():
        now = {"input_ids": ids, "attention_mask": mask, "position_ids": position}
        expected = model(**now).logits
    with torch.no_grad():
        observed = load_decoder(tmp_path, torch.float64)(ids, mask, position).logits_BTV
    real = mask.bool()
    torch.testing.assert_close(observed[real], expected[real], rtol=0, atol=1e-10)


def test_a_sharded_folder_agrees(tmp_path):
    save(tmp_path, {}, max_shard_size="10KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert_agree(tmp_path, 50)


@pytest.mark.parametrize("name", MODELS)
def test_transformers_reads_the_suites_packages(tmp_path, name):
    write_package(MODELS[name], tmp_path)
    assert_agree(tmp_path, MODELS[name].config.vocab, pad=9)


@pytest.mark.parametrize("name", MODELS)
def test_transformers_reads_every_dialect_alike(tmp_path, name):
    read = []
    for dialect in (4, 5, None):
        (tmp_path / "config.json").write_text(
            json.dumps(write_config(MODELS[name].config, dialect=dialect))
        )
        config = transformers.AutoConfig.from_pretrained(tmp_path).to_dict()
        windows = config.get("sliding_window"), config.get("layer_types")
        rope = config.get("rope_parameters")
        # Phi-3 of transformers 4 has this spelling alone, and 5 adds its own.
        if rope and "type" in rope:
            assert rope.pop("type") == rope["rope_type"]
        read.append((config["dtype"], config["eos_token_id"], rope, windows))
    assert read[0] == read[1] == read[2]


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("llama", VARIANTS["llama3"]),
        FAMILIES["mistral"],
        ("qwen2", PREFIX),
        ("qwen3", MIXED),
        ("gemma2", GEMMA2),
        ("gemma3_text", GEMMA3),
        ("phi3", PHI3),
        ("glm4", GLM4),
        ("llama", VARIANTS["yarn"]),
        ("gpt2", GPT2),
        ("bloom", BLOOM),
        ("mixtral", MIXTRAL),
        ("gpt_oss", GPT_OSS),
        ("qwen2_moe", QWEN2_MOE),
    ],
    ids=[
        *("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "glm4"),
        *("yarn", "gpt2", "bloom", "mixtral", "gpt-oss", "qwen2-moe"),
    ],
)
def test_a_cache_agrees_step_by_step(tmp_path, family, options):
    save(tmp_path, options, family)
    ids, mask, position = batch(50, tokens=20, pad=5)
    model, decoder = theirs(tmp_path), load_decoder(tmp_path, torch.float64)
    past, cache, end = transformers.DynamicCache(), None, 0
    for size in (12, 1, 1, 3, 1, 2):
        start, end = end, end + size
        now = {"input_ids": ids[:, start:end], "position_ids": position[:, start:end]}
        with torch.no_grad(), float64_inside():
            output = model(**now, attention_mask=mask[:, :end], past_key_values=past)
        expected, past = output.logits, output.past_key_values
        with torch.no_grad():
            observed = decoder(*[ids[:, start:end], mask[:, :end], position[:, start:end]], cache)
        cache, real = observed.cache, mask[:, start:end].bool()
        torch.testing.assert_close(observed.logits_BTV[real], expected[real], rtol=0, atol=1e-10)


def test_sixteen_bit_folders_open_in_their_own_type(tmp_path):
    torch.manual_seed(1)
    save(tmp_path / "wide", {})
    model = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "wide", dtype=torch.bfloat16
    )
    model.save_pretrained(tmp_path / "narrow")
    _, tensors = open_folder(tmp_path / "narrow")
    assert {tensor.dtype.name for tensor in tensors.values()} == {"bfloat16"}
    assert_agree(tmp_path / "narrow", 50)
