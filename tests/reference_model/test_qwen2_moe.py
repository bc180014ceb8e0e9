"""Qwen2-MoE: both forms of its checkpoints, its shared expert, layers without, what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from conformance.errors import FormatError, PackageError
from conformance.formats import hf_config
from conformance.oracles.architecture import Architecture
from conformance.oracles.checkpoint import stored_as, weights_of
from conformance.oracles.decoder import Decoder
from conformance.package import open_package
from reference_model import moe, qwen2_moe
from reference_model.config import Experts
from reference_model.config_rules import validate
from reference_model.errors import ConfigError
from reference_model.forms import gathered, scattered
from reference_model.huggingface import open_folder, read_config, write_config
from reference_model.layout import tensor_shapes
from reference_model.model import build_decoder
from reference_model.package import write_package
from reference_model.weights import digest
from reference_model.zoo import MODELS

MODEL = MODELS["qwen2moe-shared"]
EXPERTS = MODEL.config.mlp.experts
DOCUMENT = write_config(MODEL.config)
IDS = torch.from_numpy(np.random.default_rng(5).integers(0, 512, (2, 40)))
STACKED = ["model.layers.0.mlp.experts.gate_up_proj"]


def with_experts(**changes):
    experts = dataclasses.replace(EXPERTS, **changes)
    mlp = dataclasses.replace(MODEL.config.mlp, experts=experts)
    return dataclasses.replace(MODEL.config, mlp=mlp)


def stack(folder):
    """Write the checkpoint in the form of transformers 5."""
    written = scattered(MODEL.weights(), qwen2_moe.form(MODEL.config, STACKED))
    save_file(written, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture
def folder(tmp_path):
    write_package(MODEL, tmp_path)
    return tmp_path


def test_the_older_form_has_the_canonical_names(folder):
    stored, weights = load_file(folder / "model.safetensors"), MODEL.weights()
    assert set(stored) == set(weights)
    assert stored["model.layers.0.mlp.experts.5.down_proj.weight"].shape == (96, 48)
    assert stored["model.layers.0.mlp.shared_expert.down_proj.weight"].shape == (96, 80)
    assert stored["model.layers.1.mlp.down_proj.weight"].shape == (96, 128)
    assert stored["model.layers.2.mlp.shared_expert_gate.weight"].shape == (1, 96)


def test_gates_stand_above_in_the_newer_form(folder):
    stack(folder)
    stored, weights = load_file(folder / "model.safetensors"), MODEL.weights()
    both = stored["model.layers.2.mlp.experts.gate_up_proj"]
    assert both.shape == (6, 96, 96)
    assert np.array_equal(both[3, 48:], weights["model.layers.2.mlp.experts.3.up_proj.weight"])
    assert "model.layers.1.mlp.experts.gate_up_proj" not in stored


@pytest.mark.parametrize("change", [lambda _: None, stack], ids=["apart", "stacked"])
def test_both_forms_are_read_and_written_alike(folder, change):
    change(folder)
    config, weights = open_folder(folder)
    assert config == MODEL.config
    assert digest(weights) == MODEL.digest
    package = open_package(folder)
    seen = weights_of(package.config, package.weights())
    assert set(seen) == set(weights)
    assert all(np.array_equal(seen[name], tensor) for name, tensor in weights.items())
    written = stored_as(package.config, package.weights(), weights)
    assert all(np.array_equal(written[n], tensor) for n, tensor in package.weights().items())


def test_the_newer_form_is_inverse():
    form, shapes = qwen2_moe.form(MODEL.config, STACKED), tensor_shapes(MODEL.config)
    found = gathered(scattered(MODEL.weights(), form), form, shapes)
    assert all(np.array_equal(found[name], tensor) for name, tensor in MODEL.weights().items())


def seen_by(monkeypatch, name, dtype=torch.float32):
    """Return the first argument of each call of a function of the mixture's."""
    seen, honest = [], getattr(moe, name)

    def watched(first, *others):
        seen.append(first.double().numpy())
        return honest(first, *others)

    monkeypatch.setattr(moe, name, watched)
    decoder = build_decoder(MODEL.config, MODEL.weights(), dtype)
    decoder(IDS, torch.ones_like(IDS), torch.arange(40).expand(2, 40))
    return seen


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_suites_routers_decide_at_every_precision(monkeypatch, dtype):
    layers = seen_by(monkeypatch, "expert_shares", dtype)
    assert len(layers) == 2, "the layer between has no experts"
    for scores_BTE in layers:
        ranked = np.sort(scores_BTE, axis=-1)
        gap = ranked[..., -2] - ranked[..., -3]
        assert (gap / np.abs(scores_BTE).max(axis=-1)).min() > 0.39


def test_the_suites_shared_gates_are_open_and_shut(monkeypatch):
    for score_BT1 in seen_by(monkeypatch, "shared_share"):
        share = 1 / (1 + np.exp(-score_BT1))
        assert share.min() < 0.1
        assert share.max() > 0.9


def test_the_suites_shares_leave_much_over(monkeypatch):
    for scores_BTE in seen_by(monkeypatch, "expert_shares"):
        shares = np.exp(scores_BTE) / np.exp(scores_BTE).sum(-1, keepdims=True)
        left = 1 - np.sort(shares)[..., -2:].sum(-1)
        assert np.median(left) > 0.1


def test_reference_and_oracle_agree_in_fp64():
    mask, positions = np.ones((2, 40), np.int64), np.tile(np.arange(40), (2, 1))
    mask[1, :9] = 0
    oracle = Decoder(Architecture.from_config(DOCUMENT), MODEL.weights())
    expected = oracle.logits(IDS.numpy(), mask, positions)
    decoder = build_decoder(MODEL.config, MODEL.weights(), torch.float64)
    observed = decoder(IDS, torch.from_numpy(mask), torch.from_numpy(positions)).logits_BTV
    error = np.abs(observed.detach().numpy() - expected)[mask != 0]
    assert error.max() < 1e-11


def test_a_step_passes_layers_over_and_others_are_named():
    read = read_config({**DOCUMENT, "decoder_sparse_step": 2, "mlp_only_layers": None})
    assert read.mlp.experts.dense_layers == {0, 2}
    assert Architecture.from_config(write_config(read)).dense_layers == (0, 2)
    stepped = {**DOCUMENT, "decoder_sparse_step": 3, "mlp_only_layers": []}
    assert Architecture.from_config(stepped).dense_layers == (0, 1)
    assert read_config(write_config(read)) == read


@pytest.mark.parametrize("renormalise", [True, False])
def test_whether_shares_are_renormalised_is_read_and_written(renormalise):
    config = with_experts(renormalise=renormalise)
    document = write_config(config)
    assert document["norm_topk_prob"] is renormalise
    assert read_config(document) == config
    assert Architecture.from_config(document).renormalised is renormalise


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm_topk_prob": None}, "norm_topk_prob is missing"),
        ({"shared_expert_intermediate_size": None}, "shared_expert_intermediate_size is missing"),
        ({"use_sliding_window": True}, "use_sliding_window is True"),
        ({"layer_types": ["full_attention", "sliding_attention", "full_attention"]}, "sliding"),
        ({"qkv_bias": False}, "qkv_bias is False"),
        ({"mlp_only_layers": [3]}, r"mlp_only_layers is \[3\]; the step .* layers are 0 to 2"),
        ({"mlp_only_layers": [0, 1, 2]}, "it names some of the layers, 0 to 2, and not all"),
        ({"decoder_sparse_step": 0}, "decoder_sparse_step is 0"),
        ({"num_experts_per_tok": 7}, "at least one and at most all"),
        ({"num_local_experts": 6}, "num_local_experts"),
    ],
)
def test_what_is_not_understood_is_refused(change, message):
    document = {**DOCUMENT, **change}
    with pytest.raises(ConfigError, match=message):
        read_config({key: value for key, value in document.items() if value is not None})
    with pytest.raises(FormatError):
        hf_config.check({key: value for key, value in document.items() if value is not None})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_sliding_window": True}, "oracle computes qwen2_moe without"),
        ({"qkv_bias": False}, "qkv_bias is False"),
        ({"num_experts_per_tok": 7}, "there are 6 experts"),
    ],
)
def test_the_oracle_refuses_what_it_does_not_compute(change, message):
    with pytest.raises(PackageError, match=message):
        Architecture.from_config({**DOCUMENT, **change})


@pytest.mark.parametrize("change", [{"shared": -1}, {"hidden": 0}, {"dense_layers": {7}}])
def test_experts_that_cannot_be_are_refused(change):
    with pytest.raises(ValueError, match=r"mlp\.experts"):
        validate(with_experts(**change))


@pytest.mark.parametrize(
    "experts", [Experts(6, 2, shared=8), dataclasses.replace(EXPERTS, softmax_first=False)]
)
def test_a_mixture_that_no_family_has_is_not_written(experts):
    mlp = dataclasses.replace(MODEL.config.mlp, experts=experts)
    with pytest.raises(ValueError, match="no family"):
        write_config(dataclasses.replace(MODEL.config, mlp=mlp))
