"""gpt-oss: its checkpoints, routers that decide, sinks, clamped units, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from conformance.errors import PackageError
from conformance.oracles.architecture import Architecture
from conformance.oracles.checkpoint import stored_as, weights_of
from conformance.package import open_package
from reference_model import gpt_oss, json_values, mlp, moe
from reference_model import model as m
from reference_model.config import Mlp
from reference_model.config_rules import validate
from reference_model.errors import ConfigError
from reference_model.forms import gathered, scattered
from reference_model.huggingface import open_folder, read_config, write_config
from reference_model.layout import tensor_shapes
from reference_model.model import build_decoder
from reference_model.package import write_package
from reference_model.weights import digest
from reference_model.zoo import MODELS

MODEL = MODELS["gptoss-sinks"]
IDS = torch.from_numpy(np.random.default_rng(5).integers(0, 512, (2, 40)))


@pytest.fixture
def folder(tmp_path):
    write_package(MODEL, tmp_path)
    return tmp_path


def test_gates_and_what_they_multiply_take_turns_in_columns(folder):
    stored, weights = load_file(folder / "model.safetensors"), MODEL.weights()
    both = stored["model.layers.1.mlp.experts.gate_up_proj"]
    assert both.shape == (6, 96, 2 * 48)
    expert = "model.layers.1.mlp.experts.3."
    assert np.array_equal(both[3, :, ::2], weights[f"{expert}gate_proj.weight"].T)
    assert np.array_equal(both[3, :, 1::2], weights[f"{expert}up_proj.weight"].T)
    biases = stored["model.layers.1.mlp.experts.gate_up_proj_bias"]
    assert np.array_equal(biases[3, 1::2], weights[f"{expert}up_proj.bias"])
    down = stored["model.layers.1.mlp.experts.down_proj"]
    assert np.array_equal(down[3], weights[f"{expert}down_proj.weight"].T)
    assert stored["model.layers.2.self_attn.sinks"].shape == (4,)


def test_reference_and_oracle_read_and_write_the_checkpoint_alike(folder):
    config, weights = open_folder(folder)
    assert config == MODEL.config
    assert digest(weights) == MODEL.digest
    package = open_package(folder)
    seen = weights_of(package.config, package.weights())
    assert set(seen) == set(weights)
    assert all(np.array_equal(seen[name], tensor) for name, tensor in weights.items())
    written = stored_as(package.config, package.weights(), weights)
    assert all(np.array_equal(written[n], tensor) for n, tensor in package.weights().items())


def test_the_form_is_inverse():
    form, shapes, weights = gpt_oss.form(MODEL.config), tensor_shapes(MODEL.config), MODEL.weights()
    found = gathered(scattered(weights, form), form, shapes)
    assert list(found) == list(weights)
    assert all(np.array_equal(found[name], tensor) for name, tensor in weights.items())


def seen_by(monkeypatch, module, name, dtype=torch.float32):
    """Return the first argument of each call of a function of the decoder's."""
    seen, honest = [], getattr(module, name)

    def watched(first, *others):
        seen.append(first.double().numpy())
        return honest(first, *others)

    monkeypatch.setattr(module, name, watched)
    decoder = build_decoder(MODEL.config, MODEL.weights(), dtype)
    decoder(IDS, torch.ones_like(IDS), torch.arange(40).expand(2, 40))
    return seen


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_suites_routers_decide_at_every_precision(monkeypatch, dtype):
    layers = seen_by(monkeypatch, moe, "expert_shares", dtype)
    assert len(layers) == 3
    for scores_BTE in layers:
        ranked = np.sort(scores_BTE, axis=-1)
        gap = ranked[..., -3] - ranked[..., -4]
        assert (gap / np.abs(scores_BTE).max(axis=-1)).min() > 0.22


@pytest.mark.parametrize(("name", "share"), [("opened", 0.08), ("passed", 0.04)])
def test_the_suites_units_meet_their_limit(monkeypatch, name, share):
    units = np.concatenate([x.ravel() for x in seen_by(monkeypatch, mlp, name)])
    assert (units > 2).mean() > share / 2
    assert (np.abs(units) > 2).mean() > share


def test_sinks_take_much_little_and_nothing(monkeypatch):
    taken, honest = [], m.weights_of

    def watched(scores_BHTS, sinks_H):
        weights_BHTS = honest(scores_BHTS, sinks_H)
        taken.append(1 - weights_BHTS.sum(-1).mean((0, 2)))
        return weights_BHTS

    monkeypatch.setattr(m, "weights_of", watched)
    decoder = build_decoder(MODEL.config, MODEL.weights())
    decoder(IDS, torch.ones_like(IDS), torch.arange(40).expand(2, 40))
    share_N = torch.cat(taken)
    assert share_N.max() > 0.5
    assert share_N.min() < 0.01
    assert (share_N > 0.02).sum() >= 8


def test_a_sink_is_one_more_logit_of_its_head():
    scores = torch.zeros(1, 2, 1, 3, dtype=torch.float64)
    sinks = torch.tensor([0.0, np.log(5.0)], dtype=torch.float64)
    weights = m.weights_of(scores, sinks)[0, :, 0]
    np.testing.assert_allclose(weights, [[1 / 4] * 3, [1 / 8] * 3], rtol=1e-15)


def test_units_are_clamped_before_their_activation_and_offset_behind():
    shape = Mlp(3, limit=2.0, sharpness=1.702, offset=1.0)
    x = torch.tensor([-9.0, 1.0, 9.0], dtype=torch.float64)
    gate = np.array([-9.0, 1.0, 2.0])
    np.testing.assert_allclose(mlp.opened(x, shape), gate / (1 + np.exp(-1.702 * gate)))
    np.testing.assert_allclose(mlp.passed(x, shape), [-1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "change",
    [
        {"limit": 0.0},
        {"limit": float("nan")},
        {"sharpness": -1.0},
        {"offset": float("inf")},
        {"activation": "gelu"},
        {"gated": False},
    ],
)
def test_units_that_no_formula_has_are_refused(change):
    units = dataclasses.replace(MODEL.config.mlp, **change)
    with pytest.raises(ValueError, match=r"mlp"):
        validate(dataclasses.replace(MODEL.config, mlp=units))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"swiglu_limit": None}, "swiglu_limit is missing"),
        ({"head_dim": None}, "head_dim is missing"),
        ({"experts_per_token": 4}, "experts_per_token is 4 and num_experts_per_tok is 3"),
        ({"initial_context_length": 9}, "initial_context_length is 9 and .*length is 512"),
        ({"attention_bias": False}, "attention_bias is False"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "says 'mxfp4'.*dequantise them"),
        (
            {
                "rope_scaling": None,
                "rope_parameters": {"rope_type": "default", "rope_theta": 1.5e5},
            },
            "has rope type 'yarn'",
        ),
    ],
)
def test_a_config_that_is_not_understood_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        read_config({**write_config(MODEL.config), **change})


def test_what_the_releases_write_beside_other_keys_is_read():
    told = {"experts_per_token": 3, "initial_context_length": 512, "quantization_config": None}
    document = {**write_config(MODEL.config, dialect=4), **told}
    del document["swiglu_alpha"], document["layer_types"]
    assert read_config(document) == MODEL.config
    assert Architecture.from_config(document) == Architecture.from_config(
        write_config(MODEL.config)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_experts_per_tok": 9}, "num_experts_per_tok is 9; there are 6 experts"),
        ({"swiglu_limit": None}, "swiglu_limit is missing"),
        ({"rope_parameters": {"rope_theta": 1e5}}, "rope_type is 'default'; a gpt_oss has 'yarn'"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "quantization_config is"),
    ],
)
def test_the_oracle_refuses_likewise(change, message):
    with pytest.raises(PackageError, match=message):
        Architecture.from_config({**write_config(MODEL.config, dialect=5), **change})


def test_a_quantised_package_is_refused_and_told_what_to_do(folder):
    document = json_values.load(folder / "config.json")
    quantised = {**document, "quantization_config": {"quant_method": "mxfp4"}}
    (folder / "config.json").write_text(json.dumps(quantised))
    with pytest.raises(PackageError, match="says 'mxfp4', and quantised weights are not read"):
        open_package(folder)


@pytest.mark.parametrize(
    "change",
    [{"offset": 0.0}, {"bias": False}, {"limit": None}],
)
def test_units_that_no_family_has_are_not_written(change):
    units = dataclasses.replace(MODEL.config.mlp, **change)
    with pytest.raises(ValueError, match="no family"):
        write_config(dataclasses.replace(MODEL.config, mlp=units))


@pytest.mark.parametrize("change", [{"share": 0.5}, {"interleaved": True}])
def test_a_rotation_that_no_gpt_oss_has_is_not_written(change):
    rope = dataclasses.replace(MODEL.config.rope, **change)
    with pytest.raises(ValueError, match="no family of"):
        write_config(dataclasses.replace(MODEL.config, rope=rope))
