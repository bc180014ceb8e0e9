"""A Llama ``config.json`` is read in both dialects, and refused where it asks for more."""

from __future__ import annotations

import math

import pytest

from conformance.errors import PackageError
from conformance.oracles.architecture import Architecture
from conformance.oracles.rope import Rope

BASE = {
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
}
LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def read(**changes):
    return Architecture.from_config({**BASE, **changes})


def test_absent_keys_have_the_meaning_of_the_first_llama():
    a = read()
    assert (a.kv_heads, a.head_dim, a.tied, a.rope) == (8, 16, False, Rope(10000.0))


def test_sizes_are_read():
    a = read(num_key_value_heads=2, head_dim=64, tie_word_embeddings=True)
    sizes = (a.vocab, a.dim, a.layers, a.heads, a.kv_heads, a.head_dim, a.hidden)
    assert sizes == (512, 128, 4, 8, 2, 64, 352)
    assert (a.tied, a.epsilon, a.max_positions) == (True, 1e-5, 4096)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3}},
        {"rope_theta": 5e5, "rope_scaling": {"type": "llama3", **LLAMA3}},
        {"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", **LLAMA3}},
    ],
)
def test_llama3_scaling_is_read_in_every_dialect(rope):
    assert read(**rope).rope == Rope(5e5, "llama3", 8.0, 1.0, 4.0, 64)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_theta": 1e6, "rope_scaling": {"type": "linear", "factor": 4}},
        {"rope_parameters": {"rope_theta": 1e6, "rope_type": "linear", "factor": 4}},
    ],
)
def test_linear_scaling_is_read_in_every_dialect(rope):
    assert read(**rope).rope == Rope(1e6, "linear", 4.0)


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"attention_factor": 1 + 0.1 * math.log(4)}),
        ({"attention_factor": 1.25, "truncate": False}, {"attention_factor": 1.25}),
        (
            {"mscale": 2.0, "mscale_all_dim": 1.0, "beta_fast": 8},
            {"attention_factor": (1 + 0.2 * math.log(4)) / (1 + 0.1 * math.log(4))},
        ),
    ],
)
def test_yarn_is_read_with_what_its_paper_recommends(options, expected):
    rope = read(rope_parameters={"rope_theta": 1e4, **YARN, **options}).rope
    assert rope.attention_factor == pytest.approx(expected["attention_factor"], rel=1e-15)
    assert (rope.high, rope.low) == (options.get("beta_fast", 32), 1)
    assert rope.truncate == options.get("truncate", True)


def test_default_rope_is_read_in_every_dialect():
    new = read(rope_parameters={"rope_theta": 2e4, "rope_type": "default"})
    assert new.rope == read(rope_theta=2e4, rope_scaling=None).rope == Rope(2e4)


WINDOWS = {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}
KINDS = ["sliding_attention", "full_attention"]


@pytest.mark.parametrize(
    ("changes", "windows"),
    [
        ({"model_type": "mistral", "sliding_window": 6}, (6, 6, 6, 6)),
        ({"model_type": "mistral", "sliding_window": None}, ()),
        ({"model_type": "qwen2", **WINDOWS}, (None, 6, 6, 6)),
        ({"model_type": "qwen2", **WINDOWS, "use_sliding_window": False}, ()),
        ({"model_type": "qwen3", **WINDOWS, "layer_types": KINDS * 2}, (6, None, 6, None)),
    ],
)
def test_windows_are_read_layer_by_layer(changes, windows):
    a = read(head_dim=16, **changes)
    assert a.windows == windows
    assert [a.window(i) for i in range(4)] == list(windows or (None,) * 4)
    assert a.biased == (changes["model_type"] == "qwen2")
    assert a.head_norms == (changes["model_type"] == "qwen3")


GEMMA = {
    "model_type": "gemma2",
    "hidden_activation": "gelu_pytorch_tanh",
    "head_dim": 16,
    "query_pre_attn_scalar": 25,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": None,
    "sliding_window": 6,
}


def test_a_gemma_has_what_its_paper_says():
    a = read(**GEMMA)
    assert a.windows == (6, None, 6, None)
    assert read(**GEMMA, layer_types=KINDS[::-1] * 2).windows == (None, 6, None, 6)
    assert (a.norm_offset, a.sandwich, a.activation) == (1.0, True, "gelu_tanh")
    assert (a.score_scale, a.score_cap, a.logit_cap) == (0.2, 50.0, None)
    assert a.embedding_factor == 128**0.5


GEMMA3 = {
    "model_type": "gemma3_text",
    "hidden_activation": "gelu_pytorch_tanh",
    "head_dim": 16,
    "query_pre_attn_scalar": 25,
    "sliding_window": 6,
    "sliding_window_pattern": 3,
    "rope_theta": 1e6,
    "rope_local_base_freq": 1e4,
}
ROPES = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
}


def test_a_gemma3_turns_its_kinds_of_layers_by_bases_of_their_own():
    four = read(**GEMMA3, rope_scaling={"rope_type": "linear", "factor": 8.0})
    newer = {key: value for key, value in GEMMA3.items() if not key.startswith("rope_")}
    five = read(**{**newer, "rope_parameters": ROPES})
    assert four == five
    assert four.windows == (6, 6, None, 6)
    assert [four.rope_of(i) for i in (1, 2)] == [Rope(1e4), Rope(1e6, "linear", 8.0)]
    assert (four.head_norms, four.norm_offset, four.sandwich) == (True, 1.0, True)
    assert (four.score_scale, four.score_cap, four.logit_cap) == (0.2, None, None)


PHI3 = {
    "model_type": "phi3",
    "partial_rotary_factor": 0.5,
    "original_max_position_embeddings": 1024,
    "rope_theta": 1e4,
    "rope_scaling": {"type": "longrope", "short_factor": [1] * 4, "long_factor": [2] * 4},
}


def test_a_phi3_reads_its_length_and_its_share_beside_the_factors():
    rope = read(**PHI3).rope
    assert (rope.kind, rope.factor, rope.original_positions) == ("longrope", 4.0, 1024)
    assert (rope.share, rope.short, rope.long) == (0.5, (1.0,) * 4, (2.0,) * 4)
    assert rope.attention_factor == pytest.approx(math.sqrt(1 + math.log(4) / math.log(1024)))
    newer = {"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.5}
    five = read(
        **{**PHI3, "rope_theta": None, "rope_scaling": None, "partial_rotary_factor": None},
        rope_parameters={**PHI3["rope_scaling"], **newer},
    )
    assert five.rope == rope
    assert read(model_type="phi3", rope_theta=1e4).windows == ()


GLM4 = {
    "model_type": "glm4",
    "head_dim": 16,
    "attention_bias": False,
    "partial_rotary_factor": 0.5,
    "rope_theta": 1e4,
}


def test_a_glm4_turns_neighbours_of_a_share():
    four = read(**GLM4)
    assert (four.rope.share, four.rope.neighbours, four.neighbours) == (0.5, True, True)
    assert (four.biased, four.sandwich) == (False, True)
    nested = {"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.5}
    five = read(
        **{**GLM4, "rope_theta": None, "partial_rotary_factor": None}, rope_parameters=nested
    )
    assert five == four
    assert read(**{**GLM4, "attention_bias": True}).biased
    assert not read(**PHI3).neighbours


def test_a_gemma_is_tied_where_nothing_is_said():
    assert read(**GEMMA).tied
    assert read(**GEMMA3).tied
    assert not read(**GEMMA, tie_word_embeddings=False).tied
    assert not read().tied


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({**PHI3, "original_max_position_embeddings": None}, "original_max_position_embeddings"),
        ({**PHI3, "rope_scaling": {"type": "yarn"}}, "scales a phi3 by longrope alone"),
        ({**GLM4, "partial_rotary_factor": None}, "partial_rotary_factor is missing"),
        ({**GLM4, "attention_bias": None}, "attention_bias is missing"),
        ({**GLM4, "rope_scaling": {"type": "linear", "factor": 2}}, "the oracle scales no glm4"),
        ({**GEMMA3, "attn_logit_softcapping": 50.0}, "does not cap its scores"),
        ({**GEMMA3, "sliding_window_pattern": None}, "sliding_window_pattern is missing"),
        ({**GEMMA3, "rope_local_base_freq": None}, "rope_local_base_freq is missing"),
        ({**GEMMA3, "rope_parameters": ROPES["full_attention"]}, "it names both kinds"),
        ({**GEMMA, "hidden_activation": "gelu"}, "hidden_activation is 'gelu'"),
        ({**GEMMA, "use_bidirectional_attention": True}, "use_bidirectional_attention is True"),
        ({"model_type": "gemma2", "head_dim": 16, "sliding_window": 6}, "query_pre_attn_scalar"),
        ({"model_type": "mistral"}, "sliding_window is missing"),
        ({"model_type": "qwen3"}, "head_dim is missing"),
        ({"model_type": "qwen3", "head_dim": 16, "attention_bias": True}, "attention_bias is True"),
        ({"model_type": "qwen2", **WINDOWS, "layer_types": KINDS}, "layer_types is"),
        ({"model_type": "gemma"}, "model_type is 'gemma'"),
        ({"model_type": None}, "model_type is missing"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"mlp_bias": True}, "mlp_bias is True"),
        ({"rope_scaling": {"type": "ntk", "factor": 2}}, "rope_type is 'ntk'"),
        ({"rope_scaling": {"type": "yarn", "factor": 2}}, "original_max_position_embeddings"),
        ({"rope_scaling": {**YARN, "mscale": 1.0}}, "mscale and mscale_all_dim are"),
        ({"rope_scaling": {"type": "linear"}}, "factor is missing"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor is 0.5"),
        ({"rms_norm_eps": None}, "rms_norm_eps is missing"),
        ({"num_key_value_heads": 3}, "not a multiple of 3"),
    ],
)
def test_what_the_oracle_does_not_compute_is_refused(changes, message):
    with pytest.raises(PackageError, match=message):
        read(**changes)
