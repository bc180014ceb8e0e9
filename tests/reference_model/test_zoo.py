from __future__ import annotations

import subprocess
import sys

import pytest

from reference_model.config import Linear, Llama3, LongRope, Yarn
from reference_model.config_rules import validate
from reference_model.zoo import MODELS

HEAVY = {"torch", "onnx", "onnxruntime", "transformers", "conformance"}
LIGHT = ["config", "huggingface", "weights", "zoo"]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_is_valid_and_named_as_it_is_listed(model):
    validate(model.config)
    assert MODELS[model.name] is model
    assert model.summary


def test_the_models_use_every_mechanism():
    configs = [model.config for model in MODELS.values()]
    groups = {
        (c.attention.kv_heads == 1, c.attention.kv_heads == c.attention.heads) for c in configs
    }
    assert groups >= {(False, False), (True, False), (False, True)}
    assert {c.tied for c in configs} == {False, True}
    assert any(c.attention.heads * c.attention.head_dim != c.dim for c in configs)
    scalings = {type(c.rope.scaling) for c in configs if c.rope}
    assert scalings == {type(None), Linear, Llama3, LongRope, Yarn}
    assert any(c.rope and c.rope.interleaved for c in configs)
    assert any(c.attention.alibi and c.embedding_norm for c in configs)
    assert any(c.local_rope for c in configs)
    assert len({c.norm.eps for c in configs}) > 1
    assert any(model.design.outliers for model in MODELS.values())
    windows = {(c.attention.window is not None, bool(c.attention.full_layers)) for c in configs}
    assert windows == {(False, False), (True, False), (True, True)}
    assert any(c.attention.qkv_bias for c in configs)
    assert any(c.attention.qk_norm for c in configs)
    assert any(c.attention.softcap and c.attention.query_scalar for c in configs)
    assert any(c.norm.offset and c.norm.wide and c.post_norms for c in configs)
    assert any(c.logit_softcap and c.embedding_scale != 1 for c in configs)
    assert {c.mlp.activation for c in configs} == {"silu", "gelu_tanh"}
    assert any(c.learned_positions and c.norm.centred and not c.mlp.gated for c in configs)
    assert any(c.mlp.experts for c in configs)
    assert any(c.attention.sinks and c.mlp.limit and c.mlp.experts.bias for c in configs)
    assert any(
        c.mlp.experts and c.mlp.experts.shared and c.mlp.experts.dense_layers for c in configs
    )
    assert {c.mlp.experts.renormalise for c in configs if c.mlp.experts} == {True, False}
    assert any(c.attention.out_bias and c.mlp.bias for c in configs)


def test_the_models_cannot_be_replaced():
    with pytest.raises(TypeError):
        MODELS["llama-gqa"] = None


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_without_torch(module):
    code = (
        f"import sys, reference_model.{module}\n"
        f"heavy = {HEAVY} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
