"""Mixtures of experts: both forms of a checkpoint, routers that decide, and those that do not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from conformance.errors import PackageError
from conformance.oracles import mixture
from conformance.oracles.architecture import Architecture
from conformance.oracles.checkpoint import stored_as, weights_of
from conformance.oracles.decoder import Decoder
from conformance.package import open_package
from reference_model import mixtral, moe, routed
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

MODEL = MODELS["mixtral-routed"]
EXPERTS = MODEL.config.mlp.experts
IDS = torch.from_numpy(np.random.default_rng(5).integers(0, 512, (2, 40)))
STACKED = [
    f"model.layers.0.mlp.{name}"
    for name in ("gate.weight", "experts.gate_up_proj", "experts.down_proj")
]


@pytest.fixture
def folder(tmp_path):
    write_package(MODEL, tmp_path)
    return tmp_path


def stack(folder):
    """Write the checkpoint in the form of transformers 5."""
    written = scattered(MODEL.weights(), mixtral.form(MODEL.config, STACKED))
    save_file(written, folder / "model.safetensors", metadata={"format": "pt"})


def same(found, expected):
    return list(found) == list(expected) and all(
        np.array_equal(found[n], expected[n]) for n in found
    )


def test_experts_stand_apart_in_the_older_form(folder):
    stored, weights = load_file(folder / "model.safetensors"), MODEL.weights()
    assert len([name for name in stored if ".experts." in name]) == 3 * 6 * 3
    for ours, theirs in (("gate_proj", "w1"), ("up_proj", "w3"), ("down_proj", "w2")):
        name = f"model.layers.2.block_sparse_moe.experts.4.{theirs}.weight"
        assert np.array_equal(stored[name], weights[f"model.layers.2.mlp.experts.4.{ours}.weight"])


def test_gates_stand_above_in_the_newer_form(folder):
    stack(folder)
    stored, weights = load_file(folder / "model.safetensors"), MODEL.weights()
    both = stored["model.layers.1.mlp.experts.gate_up_proj"]
    assert both.shape == (6, 128, 96)
    assert np.array_equal(both[3, :64], weights["model.layers.1.mlp.experts.3.gate_proj.weight"])
    assert stored["model.layers.1.mlp.experts.down_proj"].shape == (6, 96, 64)


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


@pytest.mark.parametrize("names", [None, STACKED])
def test_forms_are_inverse(names):
    form, shapes = mixtral.form(MODEL.config, names), tensor_shapes(MODEL.config)
    assert same(gathered(scattered(MODEL.weights(), form), form, shapes), MODEL.weights())


def scores(monkeypatch, decoder):
    seen, honest = [], moe.expert_shares

    def watched(logits_BTE, shape):
        seen.append(logits_BTE.double().numpy())
        return honest(logits_BTE, shape)

    monkeypatch.setattr(moe, "expert_shares", watched)
    decoder(IDS, torch.ones_like(IDS), torch.arange(40).expand(2, 40))
    return seen


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_suites_routers_decide_at_every_precision(monkeypatch, dtype):
    layers = scores(monkeypatch, build_decoder(MODEL.config, MODEL.weights(), dtype))
    assert len(layers) == 3
    choices = set()
    for scores_BTE in layers:
        ranked = np.sort(scores_BTE, axis=-1)
        gap = ranked[..., -2] - ranked[..., -3]
        assert (gap / np.abs(scores_BTE).max(axis=-1)).min() > 0.39
        best = np.argsort(-scores_BTE, axis=-1)[..., :2].reshape(-1, 2)
        choices |= {tuple(pair) for pair in best}
    assert len(choices) == 30, "each pair of experts, in both orders"


def test_layers_choose_differently_for_one_token(monkeypatch):
    first, second, _ = scores(monkeypatch, build_decoder(MODEL.config, MODEL.weights()))
    assert (first.argmax(-1) != second.argmax(-1)).all()


def test_orders_are_all_that_there_are():
    assert len({tuple(routed._order(draw, 4)) for draw in range(24)}) == 24


def near_a_tie():
    """Return weights of the suite's mixture with one router's row almost that of another."""
    weights = MODEL.weights()
    router = weights["model.layers.1.mlp.gate.weight"]
    router[0] = router[1] * np.float32(1 + 1e-6)
    return weights


def test_a_router_near_a_tie_is_not_judged():
    oracle = Decoder(Architecture.from_config(write_config(MODEL.config)), near_a_tie())
    mask, positions = np.ones_like(IDS), np.tile(np.arange(40), (2, 1))
    with pytest.raises(PackageError, match=r"rounding decides who is chosen") as told:
        oracle.logits(IDS.numpy(), mask, positions)
    assert "at least 0.0625 are needed" in str(told.value)


def test_a_tie_of_a_hidden_token_is_no_matter():
    scores_NE = np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
    mixture.check_decided(scores_NE[:1], 2)
    mixture.check_decided(scores_NE, 3)  # all are chosen
    mixture.check_decided(scores_NE[:0], 2)
    with pytest.raises(PackageError, match="is 0 of the largest"):
        mixture.check_decided(scores_NE, 2)


@pytest.mark.parametrize("renormalise", [False, True])
@pytest.mark.parametrize("softmax_first", [False, True])
def test_shares_are_those_of_their_formula(softmax_first, renormalise):
    shape = Experts(3, 2, softmax_first=softmax_first, renormalise=renormalise)
    e = np.exp(np.array([1.0, 0.0, 2.0]))
    total = e.sum() if softmax_first and not renormalise else e[0] + e[2]
    observed = moe.expert_shares(torch.tensor([[[1.0, 0.0, 2.0]]], dtype=torch.float64), shape)
    np.testing.assert_allclose(observed[0, 0], [e[0] / total, 0, e[2] / total], atol=1e-15)


def test_an_expert_that_overflows_is_no_matter_to_who_has_not_chosen_it():
    mlp = dataclasses.replace(MODEL.config.mlp, experts=Experts(2, 1))
    mixed = moe.feed_forward(2, mlp, 0)
    with torch.no_grad():
        for parameter in mixed.parameters():
            parameter.fill_(1.0)
        mixed.gate.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
        mixed.experts[1].up_proj.weight.fill_(float("inf"))
    assert torch.isfinite(mixed(torch.ones(1, 1, 2))).all()


@pytest.mark.parametrize("chosen", [0, 7])
def test_a_choice_of_none_or_of_more_than_there_are_is_refused(chosen):
    mlp = dataclasses.replace(MODEL.config.mlp, experts=Experts(6, chosen))
    with pytest.raises(ValueError, match="at least one and at most all"):
        validate(dataclasses.replace(MODEL.config, mlp=mlp))


def test_keys_that_are_missing_or_make_noise_are_refused():
    document = write_config(MODEL.config)
    for change, message in (
        ({"num_local_experts": None}, "num_local_experts is missing"),
        ({"router_jitter_noise": 0.1}, "router_jitter_noise is 0.1"),
        ({"num_experts_per_tok": 9}, "at least one and at most all"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_config({**document, **change})
    with pytest.raises(PackageError, match="num_experts_per_tok is 9; there are 6 experts"):
        Architecture.from_config({**document, "num_experts_per_tok": 9})


@pytest.mark.parametrize("change", [{"renormalise": False}, {"softmax_first": False}])
def test_a_mixture_that_no_family_has_is_not_written(change):
    mlp = dataclasses.replace(MODEL.config.mlp, experts=dataclasses.replace(EXPERTS, **change))
    with pytest.raises(ValueError, match="no family"):
        write_config(dataclasses.replace(MODEL.config, mlp=mlp))
