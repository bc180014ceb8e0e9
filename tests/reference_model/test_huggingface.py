from __future__ import annotations

import dataclasses

import pytest

from conformance.formats import hf_config
from reference_model.config import Attention, Linear, Llama3, LongRope, Mlp, Norm, Rope, Yarn
from reference_model.huggingface import ConfigError, read_config, write_config

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
ABSENT = object()


@pytest.fixture
def document(small):
    return write_config(small, dialect=4)


def changed(document, change):
    """Return the document with keys replaced, or taken away where the value is ABSENT."""
    merged = document | change
    return {key: value for key, value in merged.items() if value is not ABSENT}


@pytest.mark.parametrize("dialect", [4, 5, None])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_what_is_written_is_read_back(variant, dialect, dtype):
    assert read_config(write_config(variant, dtype=dtype, dialect=dialect)) == variant


def test_the_dialects_differ_in_the_keys_that_transformers_renamed(small):
    four, five = write_config(small, dialect=4), write_config(small, dialect=5)
    assert set(four) - set(five) == {"rope_theta", "rope_scaling", "torch_dtype"}
    assert set(five) - set(four) == {"rope_parameters", "dtype"}


def test_both_dialects_are_written_where_none_is_named(variant):
    both = write_config(variant)
    for dialect in (4, 5):
        alone = write_config(variant, dialect=dialect)
        assert alone == {key: both[key] for key in alone}, "as a reader of that dialect sees it"
    hf_config.check(both)


@pytest.mark.parametrize("arguments", [{"dialect": 3}, {"dtype": "int8"}])
def test_an_unknown_dialect_or_type_is_not_written(small, arguments):
    with pytest.raises(ValueError, match="use 4 or 5"):
        write_config(small, **arguments)


GOOD = {
    "type for rope_type": ({"rope_scaling": {"type": "linear", "factor": 2}}, Linear(2.0)),
    "both spellings": (
        {"rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 2.0}},
        Linear(2.0),
    ),
    "llama3": ({"rope_scaling": LLAMA3}, Llama3(8.0, 1.0, 4.0, 32)),
    "yarn as its paper has it": ({"rope_scaling": YARN}, Yarn(4.0, 64)),
    "yarn with nulls": ({"rope_scaling": {**YARN, "attention_factor": None}}, Yarn(4.0, 64)),
    "yarn with borders of its own": (
        {"rope_scaling": {**YARN, "beta_fast": 8, "beta_slow": 0.5, "truncate": False}},
        Yarn(4.0, 64, 8.0, 0.5, truncate=False),
    ),
    "yarn by two weights": (
        {
            "rope_theta": ABSENT,
            "rope_scaling": ABSENT,
            "rope_parameters": {**YARN, "rope_theta": 1e4, "mscale": 1, "mscale_all_dim": 0.5},
        },
        Yarn(4.0, 64, mscale=1.0, mscale_all_dim=0.5),
    ),
    "default": ({"rope_scaling": {"rope_type": "default"}}, None),
    "no rope_scaling": ({"rope_scaling": ABSENT}, None),
    "version 5": (
        {
            "rope_theta": ABSENT,
            "rope_scaling": ABSENT,
            "rope_parameters": LLAMA3 | {"rope_theta": 10000},
        },
        Llama3(8.0, 1.0, 4.0, 32),
    ),
    "both dialects, agreeing": (
        {"rope_scaling": LLAMA3, "rope_parameters": LLAMA3 | {"rope_theta": 10000.0}},
        Llama3(8.0, 1.0, 4.0, 32),
    ),
    "whole rotation": (
        {"rope_scaling": {"rope_type": "default", "partial_rotary_factor": 1.0}},
        None,
    ),
    "bookkeeping": (
        {"use_cache": False, "transformers_version": "4.51.0", "initializer_range": 0.1},
        None,
    ),
    "token ids": ({"eos_token_id": [2, 3], "pad_token_id": 0, "bos_token_id": 1}, None),
    "neutral values": ({"pretraining_tp": 1, "temperature": 1.0, "pruned_heads": {}}, None),
    "older files without bias keys": ({"attention_bias": ABSENT, "mlp_bias": ABSENT}, None),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_document_is_read(document, small, name):
    change, scaling = GOOD[name]
    expected = dataclasses.replace(small, rope=Rope(10000.0, scaling))
    assert read_config(changed(document, change)) == expected


def test_an_absent_head_dim_is_the_width_over_the_heads(document, small):
    config = read_config(changed(document, {"head_dim": ABSENT}))
    assert config.attention == dataclasses.replace(small.attention, head_dim=6)


def test_a_given_head_dim_is_free(document):
    assert read_config(changed(document, {"head_dim": 14})).attention == Attention(4, 2, 14)


MISSING = [
    "model_type",
    "hidden_act",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "rms_norm_eps",
    "rope_theta",
    "tie_word_embeddings",
    "max_position_embeddings",
]


@pytest.mark.parametrize("key", MISSING)
def test_a_missing_key_is_named(document, key):
    with pytest.raises(ConfigError, match=f"{key} is missing"):
        read_config(changed(document, {key: ABSENT}))


BAD = {
    "unknown key": ({"sliding_window": 4096}, "'sliding_window' .value 4096. is not understood"),
    "other architecture": ({"model_type": "gemma"}, "'gemma'; only 'llama' or 'mistral'"),
    "class of another family": ({"model_type": "mistral"}, r"\['LlamaForCausalLM'\]; only"),
    "other head": ({"architectures": ["LlamaForSequenceClassification"]}, "architectures is"),
    "other activation": ({"hidden_act": "gelu"}, "'gelu'; only 'silu'"),
    "attention bias": ({"attention_bias": True}, "attention_bias is True; only False"),
    "mlp bias": ({"mlp_bias": True}, "mlp_bias is True"),
    "split projections": ({"pretraining_tp": 2}, "pretraining_tp is 2; only 1"),
    "quantised": ({"quantization_config": {"bits": 4}}, "quantization_config is"),
    "pruned": ({"pruned_heads": {"0": [1]}}, "pruned_heads is"),
    "generation option": ({"temperature": 0.6}, "temperature is 0.6"),
    "partial rotation": ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
    "unknown type": ({"torch_dtype": "int8"}, "torch_dtype is 'int8'"),
    "types disagree": ({"dtype": "bfloat16"}, "dtype is 'bfloat16' and torch_dtype is 'float32'"),
    "integer as text": ({"vocab_size": "40"}, "vocab_size is '40'; it has to be an integer"),
    "integer as float": ({"hidden_size": 24.0}, "hidden_size is 24.0"),
    "integer as true": ({"num_hidden_layers": True}, "num_hidden_layers is True"),
    "eps as text": ({"rms_norm_eps": "1e-5"}, "rms_norm_eps is '1e-5'; it has to be a finite"),
    "eps beyond float64": ({"rms_norm_eps": 10**400}, "finite number"),
    "eps negative": ({"rms_norm_eps": -1e-5}, "norm.eps is -1e-05"),
    "tied as 1": ({"tie_word_embeddings": 1}, "tie_word_embeddings is 1; it has to be true"),
    "bias as 0": ({"mlp_bias": 0}, "mlp_bias is 0; only False"),
    "heads not divisible": ({"num_key_value_heads": 3}, "3 kv_heads do not divide"),
    "head_dim unknowable": ({"head_dim": ABSENT, "hidden_size": 25}, "4 does not divide .* 25"),
    "rope type unknown": ({"rope_scaling": {"rope_type": "ntk", "factor": 2.0}}, "'ntk'; allow"),
    "yarn without its length": (
        {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}},
        "rope_scaling.original_max_position_embeddings is missing",
    ),
    "yarn of one weight": ({"rope_scaling": {**YARN, "mscale": 1.0}}, "both of the first have"),
    "yarn of a factor and weights": (
        {"rope_scaling": {**YARN, "attention_factor": 1.2, "mscale": 1.0, "mscale_all_dim": 1.0}},
        "mscale 1.0, mscale_all_dim 1.0 and attention_factor 1.2; both",
    ),
    "yarn's borders swapped": (
        {"rope_scaling": {**YARN, "beta_fast": 1.0, "beta_slow": 32.0}},
        "beta_slow 32.0 and beta_fast 1.0; both have to be positive, the slow one below",
    ),
    "yarn truncated by a number": (
        {"rope_scaling": {**YARN, "truncate": 1}},
        "rope_scaling.truncate is 1; it has to be true or false",
    ),
    "rope type no text": ({"rope_scaling": {"rope_type": ["linear"]}}, "allowed: 'default'"),
    "rope type missing": ({"rope_scaling": {"factor": 2.0}}, "rope_scaling.rope_type is missing"),
    "rope no object": ({"rope_scaling": 2.0}, "rope_scaling is 2.0; an object or null"),
    "rope types disagree": (
        {"rope_scaling": {"rope_type": "linear", "type": "llama3", "factor": 2.0}},
        "rope_scaling.rope_type says 'linear' and rope_scaling.type says 'llama3'",
    ),
    "rope key missing": (
        {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
        "rope_scaling.low_freq_factor is missing",
    ),
    "rope key unknown": (
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0, "beta_fast": 32}},
        "rope_scaling.beta_fast .value 32. is not understood",
    ),
    "rope partial": (
        {"rope_scaling": {"rope_type": "default", "partial_rotary_factor": 0.5}},
        "rope_scaling.partial_rotary_factor is 0.5",
    ),
    "theta in two places": (
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
        "rope_theta says 10000.0 and rope_parameters.rope_theta says 500000.0",
    ),
    "scaling in two places": (
        {"rope_scaling": LLAMA3, "rope_parameters": {"rope_type": "default"}},
        "rope_scaling says Llama3.* and rope_parameters says None",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_document_is_refused_with_key_and_value(document, name):
    change, told = BAD[name]
    with pytest.raises(ConfigError, match=told):
        read_config(changed(document, change))


WINDOWS = {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}


def of_family(document, model_type, change):
    """Return a document of another family, with keys replaced or taken away."""
    name = {"gemma3_text": "Gemma3"}.get(model_type, model_type.capitalize())
    base = document | {"model_type": model_type, "architectures": [f"{name}ForCausalLM"]}
    return changed(base, {"attention_bias": ABSENT, **change})


FAMILIES = {
    "a window": ("mistral", {"sliding_window": 6}, {"window": 6}),
    "no window": ("mistral", {"sliding_window": None}, {}),
    "biases by the name": ("qwen2", {"use_sliding_window": False}, {"qkv_bias": True}),
    "biases told twice": (
        "qwen2",
        {"use_sliding_window": False, "attention_bias": True},
        {"qkv_bias": True},
    ),
    "a window that is switched off": (
        "qwen2",
        {**WINDOWS, "use_sliding_window": False},
        {"qkv_bias": True},
    ),
    "windows from a layer on": (
        "qwen2",
        WINDOWS,
        {"qkv_bias": True, "window": 6, "full_layers": frozenset({0})},
    ),
    "windows beyond the last layer": (
        "qwen2",
        {**WINDOWS, "max_window_layers": 28},
        {"qkv_bias": True},
    ),
    "windows by layer": (
        "qwen3",
        {**WINDOWS, "layer_types": ["sliding_attention", "full_attention"]},
        {"qk_norm": True, "window": 6, "full_layers": frozenset({1})},
    ),
    "no layer that slides": (
        "qwen3",
        {**WINDOWS, "layer_types": ["full_attention"] * 2},
        {"qk_norm": True},
    ),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_read_as_what_it_computes(document, small, name):
    model_type, change, fields = FAMILIES[name]
    read = read_config(of_family(document, model_type, change))
    assert read == dataclasses.replace(small, attention=Attention(4, 2, 8, **fields))


UNREADABLE = {
    "window missing": ("mistral", {}, "sliding_window is missing"),
    "window as text": ("mistral", {"sliding_window": "6"}, "sliding_window is '6'"),
    "window of nothing": ("mistral", {"sliding_window": 0}, "attention.window is 0"),
    "layers of a mistral": (
        "mistral",
        {"sliding_window": 6, "layer_types": ["full_attention"] * 2},
        "'layer_types' .* is not understood",
    ),
    "switch missing": ("qwen2", {"sliding_window": 6}, "use_sliding_window is missing"),
    "biases denied": (
        "qwen2",
        {"use_sliding_window": False, "attention_bias": False},
        "attention_bias is False; only True",
    ),
    "first layer missing": (
        "qwen2",
        {**WINDOWS, "max_window_layers": ABSENT},
        "max_window_layers is missing",
    ),
    "too few layers": (
        "qwen3",
        {**WINDOWS, "layer_types": ["full_attention"]},
        "has to be a list of 2",
    ),
    "unknown kind of layer": (
        "qwen3",
        {**WINDOWS, "layer_types": ["full_attention", "chunked_attention"]},
        "each of 'sliding_attention' or 'full_attention'",
    ),
    "slides without a window": (
        "qwen3",
        {"use_sliding_window": False, "layer_types": ["full_attention", "sliding_attention"]},
        "each of 'full_attention'",
    ),
    "head dim of a qwen3": (
        "qwen3",
        {"use_sliding_window": False, "head_dim": ABSENT},
        "head_dim is missing",
    ),
    "biases of a qwen3": (
        "qwen3",
        {"use_sliding_window": False, "attention_bias": True},
        "attention_bias is True; only False",
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_a_family_leaves_open_is_refused(document, name):
    model_type, change, told = UNREADABLE[name]
    with pytest.raises(ConfigError, match=told):
        read_config(of_family(document, model_type, change))


GEMMA = {
    "hidden_act": ABSENT,
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 6,
    "attn_logit_softcapping": 3.0,
    "final_logit_softcapping": None,
    "sliding_window": 5,
}


def test_a_gemma_is_read_with_all_that_its_name_stands_for(document):
    read = read_config(of_family(document, "gemma2", {**GEMMA, "cache_implementation": "hybrid"}))
    assert read.attention == Attention(4, 2, 8, 5, frozenset({1}), query_scalar=6, softcap=3.0)
    assert read.norm == Norm(1e-5, offset=1.0, wide=True)
    assert read.mlp == Mlp(32, "gelu_tanh")
    assert (read.post_norms, read.embedding_scale, read.logit_softcap) == (True, 24**0.5, None)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"attn_logit_softcapping": ABSENT}, "attn_logit_softcapping is missing"),
        ({"final_logit_softcapping": 0}, "logit_softcap is 0"),
        ({"query_pre_attn_scalar": ABSENT}, "query_pre_attn_scalar is missing"),
        ({"hidden_activation": ABSENT}, "hidden_activation is missing"),
        ({"hidden_activation": "gelu"}, "hidden_activation is 'gelu'; only 'gelu_pytorch_tanh'"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; only 'gelu_pytorch_tanh'"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention is True"),
        ({"head_dim": ABSENT}, "head_dim is missing"),
        ({"sliding_window": None}, "sliding_window is missing"),
    ],
)
def test_a_gemma_that_leaves_something_open_is_refused(document, change, told):
    with pytest.raises(ConfigError, match=told):
        read_config(of_family(document, "gemma2", {**GEMMA, **change}))


def test_a_gemma_that_says_nothing_is_tied(document):
    for family, change in (("gemma2", GEMMA), ("gemma3_text", GEMMA3)):
        silent = of_family(document, family, {**change, "tie_word_embeddings": ABSENT})
        assert read_config(silent).tied


GEMMA3 = {
    "hidden_act": ABSENT,
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 6,
    "attn_logit_softcapping": None,
    "sliding_window": 5,
    "sliding_window_pattern": 2,
    "rope_theta": 1000000,
    "rope_local_base_freq": 10000,
    "rope_scaling": {"rope_type": "linear", "factor": 8.0},
}
ROPES = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"layer_types": ["sliding_attention", "full_attention"], "_sliding_window_pattern": 6},
        {
            "rope_theta": ABSENT,
            "rope_scaling": ABSENT,
            "rope_local_base_freq": ABSENT,
            "rope_parameters": ROPES,
        },
        {"rope_parameters": ROPES},
    ],
    ids=["4", "4 with layers", "5", "both"],
)
def test_a_gemma3_is_read_in_both_dialects(document, change):
    read = read_config(of_family(document, "gemma3_text", {**GEMMA3, **change}))
    assert read.attention == Attention(4, 2, 8, 5, frozenset({1}), qk_norm=True, query_scalar=6)
    assert (read.rope, read.local_rope) == (Rope(1e6, Linear(8.0)), Rope(1e4))
    assert (read.norm, read.mlp.activation) == (Norm(1e-5, offset=1.0, wide=True), "gelu_tanh")
    assert (read.rope_of(0), read.rope_of(1)) == (read.local_rope, read.rope)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sliding_window_pattern": ABSENT}, "sliding_window_pattern is missing"),
        ({"sliding_window_pattern": 0}, "sliding_window_pattern is 0; it has to be at least 1"),
        ({"sliding_window_pattern": 1}, "no layer has it"),
        ({"rope_local_base_freq": ABSENT}, "rope_local_base_freq is missing; give it there or in"),
        (
            {"rope_local_base_freq": 2e4, "rope_parameters": ROPES},
            "sliding_attention.rope_theta says",
        ),
        (
            {"rope_parameters": ROPES["full_attention"]},
            "it has to be an object of sliding_attention",
        ),
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping is 50.0; only None"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention is True"),
    ],
)
def test_a_gemma3_that_leaves_something_open_is_refused(document, change, told):
    with pytest.raises(ConfigError, match=told):
        read_config(of_family(document, "gemma3_text", {**GEMMA3, **change}))


def test_rotations_by_kind_of_layer_are_a_gemma3s_alone(document):
    with pytest.raises(ConfigError, match="rope_type is missing"):
        read_config(changed(document, {"rope_parameters": ROPES}))


PHI3 = {
    "head_dim": 6,
    "sliding_window": 9,
    "partial_rotary_factor": 0.67,
    "original_max_position_embeddings": 64,
    "rope_scaling": {"type": "longrope", "short_factor": [1, 1.5], "long_factor": [1, 3]},
}
LONG = {**PHI3["rope_scaling"], "rope_theta": 10000.0}
BOTH = {**LONG, "partial_rotary_factor": 0.67, "original_max_position_embeddings": 64}


@pytest.mark.parametrize(
    "change",
    [{}, {"rope_theta": ABSENT, "rope_scaling": ABSENT, "rope_parameters": BOTH}],
    ids=["4", "5"],
)
def test_a_phi3_is_read_in_both_dialects(document, change):
    read = read_config(of_family(document, "phi3", {**PHI3, **change}))
    assert read.rope == Rope(10000.0, LongRope((1.0, 1.5), (1.0, 3.0), 4.0, 64), share=0.67)
    assert read.attention == Attention(4, 2, 6, window=9)


def test_a_phi3_of_one_length_is_read_without_a_window(document):
    change = {"head_dim": 6, "original_max_position_embeddings": 4096, "embd_pdrop": 0.0}
    read = read_config(of_family(document, "phi3", change))
    assert (read.rope, read.attention) == (Rope(10000.0), Attention(4, 2, 6))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"original_max_position_embeddings": ABSENT}, "original_max_position_embeddings is miss"),
        ({"partial_rotary_factor": 1.0}, "short has 2 factors, .* for each of 3 pairs"),
        ({"partial_rotary_factor": 0.5}, "turns 3 of 6 channels"),
        ({"rope_scaling": {**LONG, "long_factor": [1, -3]}}, "long has 2 factors"),
        ({"rope_scaling": {**LONG, "long_factor": 2}}, "long_factor is 2; it has to be a list"),
        ({"rope_scaling": {**LONG, "long_factor": [1, "3"]}}, "long_factor.1 is '3'; it has to"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "'default' or 'longrope': Linear"),
        ({"rope_parameters": {**BOTH, "partial_rotary_factor": 0.5}}, "they have to agree"),
    ],
)
def test_a_phi3_that_leaves_something_open_is_refused(document, change, told):
    with pytest.raises(ConfigError, match=told):
        read_config(of_family(document, "phi3", {**PHI3, **change}))


def test_longrope_is_a_phi3s_alone(document):
    with pytest.raises(ConfigError, match="'longrope' is computed here for a phi3 alone"):
        read_config(changed(document, {"rope_scaling": BOTH | {"partial_rotary_factor": 1.0}}))


GLM4 = {"head_dim": 8, "attention_bias": True, "partial_rotary_factor": 0.5}
NESTED = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {
            **dict.fromkeys(("rope_theta", "rope_scaling", "partial_rotary_factor"), ABSENT),
            "rope_parameters": NESTED,
        },
    ],
    ids=["4", "5"],
)
def test_a_glm4_is_read_in_both_dialects(document, change):
    read = read_config(of_family(document, "glm4", {**GLM4, **change}))
    assert read.rope == Rope(10000.0, share=0.5, interleaved=True)
    assert (read.attention, read.post_norms) == (Attention(4, 2, 8, qkv_bias=True), True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"partial_rotary_factor": ABSENT}, "partial_rotary_factor is missing"),
        ({"attention_bias": ABSENT}, "attention_bias is missing"),
        ({"head_dim": ABSENT}, "head_dim is missing"),
        ({"rope_scaling": YARN}, "a glm4 has rope type 'default': Yarn"),
        ({"rope_parameters": {**NESTED, "partial_rotary_factor": 1.0}}, "they have to agree"),
    ],
)
def test_a_glm4_that_leaves_something_open_is_refused(document, change, told):
    with pytest.raises(ConfigError, match=told):
        read_config(of_family(document, "glm4", {**GLM4, **change}))


def test_a_decoder_of_no_family_is_not_written(small):
    both = dataclasses.replace(small.attention, qkv_bias=True, qk_norm=True)
    capped = dataclasses.replace(small.attention, softcap=3.0)
    windowed = dataclasses.replace(small.attention, window=3)
    local = dataclasses.replace(small, attention=windowed, local_rope=Rope(100.0))
    several = [dataclasses.replace(small, attention=one) for one in (both, capped)]
    neighbours = dataclasses.replace(small, rope=Rope(100.0, interleaved=True))
    for config in (*several, local, neighbours):
        with pytest.raises(ValueError, match="no family of llama, mistral, mixtral, gpt_oss"):
            write_config(config)
