"""The oracle's encoder against the reference model's, and the noise of its honest ensemble."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from conformance import spec
from conformance.errors import PackageError
from conformance.oracles.arithmetic import FP64, Arithmetic
from conformance.oracles.encoder import corpus, ensemble
from conformance.oracles.encoder.architecture import EncoderArchitecture
from conformance.oracles.encoder.model import Encoder, weight_shapes
from reference_model.encoder.huggingface import write_config
from reference_model.encoder.model import build_encoder
from reference_model.encoder.zoo import ENCODERS

TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def oracle(name, arithmetic=FP64):
    model = ENCODERS[name]
    made = model.weights()
    architecture = EncoderArchitecture.of(write_config(model.config), made)
    return Encoder(architecture, made, arithmetic)


def inputs_of(truth, name="near"):
    shape = truth.architecture
    return corpus.CORPORA[name](shape.vocab, shape.types, shape.max_positions)


@pytest.mark.parametrize("corpora", corpus.CORPORA)
@pytest.mark.parametrize("name", ENCODERS)
def test_two_independent_encoders_agree_in_fp64(name, corpora):
    truth = oracle(name)
    fixed = inputs_of(truth, corpora)
    exact = truth.encode(*fixed.inputs)
    model = ENCODERS[name]
    other = build_encoder(model.config, model.weights(), torch.float64)
    assert list(exact) == ["last_hidden_state", "pooler_output", "logits"]
    for (output, array), part in zip(
        exact.items(), other(*map(torch.from_numpy, fixed.inputs)), strict=True
    ):
        seen = corpus.judged(fixed.attention_mask_BT, output)
        assert np.abs(array - part.numpy())[seen].max() < 1e-12 * np.abs(array).max(), output


@pytest.mark.parametrize("name", ENCODERS)
def test_members_of_the_ensemble_compute_the_same_function(name, monkeypatch):
    monkeypatch.setattr(ensemble, "honest", lambda _: (FP64,) * ensemble.MEMBERS)
    truth = oracle(name)
    fixed, contract = inputs_of(truth), spec.load().contracts["fp32"]
    exact = truth.encode(*fixed.inputs)
    orders = []
    for member, channels in ensemble.honest_members(truth, contract):
        answer = member.encode(*fixed.inputs)
        hidden = exact["last_hidden_state"][..., channels]
        assert np.abs(answer["last_hidden_state"] - hidden).max() < 1e-12
        for output in ("pooler_output", "logits"):
            assert np.abs(answer[output] - exact[output]).max() < 1e-12, output
        orders.append(tuple(channels))
    assert len(set(orders)) == ensemble.MEMBERS


@pytest.mark.parametrize("precision", TYPES)
def test_torch_errs_by_about_a_noise_unit(precision):
    """As far as the limits in noise units allow, and not so little that they would be idle."""
    contract = spec.load().contracts[precision]
    if precision != "fp32":
        narrow = dict.fromkeys(("score", "probability", "intermediate"), contract.input)
        contract = dataclasses.replace(contract, **narrow)
    truth = oracle("bert-three-types", Arithmetic(weight=contract.weight))
    fixed = inputs_of(truth)
    exact, units = truth.encode(*fixed.inputs), ensemble.noise(truth, fixed, contract)
    model = ENCODERS["bert-three-types"]
    torch_s = build_encoder(model.config, model.weights(), TYPES[precision])
    for (output, array), part in zip(
        exact.items(), torch_s(*map(torch.from_numpy, fixed.inputs)), strict=True
    ):
        error = part.double().numpy() - array
        seen = corpus.judged(fixed.attention_mask_BT, output)
        rms = math.sqrt(np.mean(np.square(error[seen])))
        assert 0.5 < rms / units[output].rms < contract.noise_rms, output


def test_the_corpora_hold_what_they_are_for():
    near, long = (make(64, 3, 100) for make in corpus.CORPORA.values())
    hidden = near.attention_mask_BT == 0
    assert hidden[:, 0].any()
    assert hidden[:, -1].any()
    assert set(near.token_type_ids_BT[~hidden]) == {0, 1, 2}
    assert long.input_ids_BT.shape == (2, 100)
    seen = corpus.judged(near.attention_mask_BT, "pooler_output")
    assert seen.sum() == len(seen) - 1  # one row is padded at its left


def test_a_weight_that_is_missing_or_of_another_shape_is_named():
    truth = oracle("bert-two-types")
    name = "bert.pooler.dense.weight"
    assert weight_shapes(truth.architecture)[name] == (96, 96)
    for wrong in ({}, {name: np.zeros((96, 95), np.float32)}):
        others = {n: w for n, w in truth.weights.items() if n != name}
        with pytest.raises(PackageError, match=r"bert\.pooler\.dense\.weight.*\(96, 96\)"):
            Encoder(truth.architecture, others | wrong)
