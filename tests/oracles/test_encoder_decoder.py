"""The oracle's encoder-decoder against the reference model's, and its ensemble's noise."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from conformance import spec
from conformance.errors import PackageError
from conformance.oracles.arithmetic import FP64, Arithmetic
from conformance.oracles.encoder_decoder import corpus, ensemble
from conformance.oracles.encoder_decoder.architecture import (
    EncoderDecoderArchitecture,
    weight_shapes,
)
from conformance.oracles.encoder_decoder.model import EncoderDecoder, rows_of
from conformance.oracles.encoder_decoder.transformer.architecture import TransformerArchitecture
from conformance.oracles.encoder_decoder.transformer.model import Transformer
from reference_model.encoder_decoder.folders import write_config
from reference_model.encoder_decoder.loading import build_encoder_decoder
from reference_model.encoder_decoder.zoo import ENCODER_DECODERS

TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def oracle(name, arithmetic=FP64):
    model = ENCODER_DECODERS[name]
    config = write_config(model.config)
    if config["model_type"] == "marian":
        return Transformer(TransformerArchitecture.of(config), model.weights(), arithmetic)
    return EncoderDecoder(EncoderDecoderArchitecture.of(config), model.weights(), arithmetic)


def inputs_of(truth, name="near"):
    shape = truth.architecture
    return corpus.CORPORA[name](shape.vocab, shape.start, shape.reach)


@pytest.mark.parametrize("corpora", corpus.CORPORA)
@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_two_independent_encoder_decoders_agree_in_fp64(name, corpora):
    truth = oracle(name)
    fixed = inputs_of(truth, corpora)
    exact = truth.decode(*fixed.inputs)
    model = ENCODER_DECODERS[name]
    other = build_encoder_decoder(model.config, model.weights(), torch.float64)
    assert list(exact) == ["encoder_last_hidden_state", "logits"]
    for (output, array), part in zip(
        exact.items(), other(*map(torch.from_numpy, fixed.inputs)), strict=True
    ):
        error = np.abs(array - part.numpy())[fixed.judged(output)]
        assert error.max() < 1e-12 * np.abs(array).max(), output


def test_two_independent_encoder_decoders_gate_units_by_silu_alike():
    model = ENCODER_DECODERS["t5-gated-untied"]
    config = dataclasses.replace(model.config, activation="silu")
    shape = EncoderDecoderArchitecture.of(write_config(config))
    fixed = corpus.CORPORA["near"](shape.vocab, shape.start, shape.reach)
    exact = EncoderDecoder(shape, model.weights()).decode(*fixed.inputs)["logits"]
    other = build_encoder_decoder(config, model.weights(), torch.float64)
    logits = other(*map(torch.from_numpy, fixed.inputs))[1].numpy()
    assert np.abs(exact - logits).max() < 1e-12 * np.abs(exact).max()
    by_gelu = oracle("t5-gated-untied").decode(*fixed.inputs)["logits"]
    assert np.abs(exact - by_gelu).max() > 0.01 * np.abs(exact).max()


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_members_of_the_ensemble_compute_the_same_function(name, monkeypatch):
    monkeypatch.setattr(ensemble, "honest", lambda _: (FP64,) * ensemble.MEMBERS)
    truth = oracle(name)
    fixed, contract = inputs_of(truth), spec.load().contracts["fp32"]
    exact = truth.decode(*fixed.inputs)
    orders = []
    for member, channels in ensemble.honest_members(truth, contract):
        answer = member.decode(*fixed.inputs)
        hidden = exact["encoder_last_hidden_state"][..., channels]
        assert np.abs(answer["encoder_last_hidden_state"] - hidden).max() < 1e-12
        assert np.abs(answer["logits"] - exact["logits"]).max() < 1e-11
        orders.append(tuple(channels))
    assert len(set(orders)) == ensemble.MEMBERS


@pytest.mark.parametrize("name", ENCODER_DECODERS)
@pytest.mark.parametrize("precision", TYPES)
def test_torch_errs_by_about_a_noise_unit(name, precision):
    """As far as the limits in noise units allow, and not so little that they would be idle."""
    contract = spec.load().contracts[precision]
    if precision != "fp32":
        narrow = dict.fromkeys(("score", "probability", "intermediate"), contract.input)
        contract = dataclasses.replace(contract, **narrow)
    truth = oracle(name, Arithmetic(weight=contract.weight))
    fixed = inputs_of(truth)
    exact, units = truth.decode(*fixed.inputs), ensemble.noise(truth, fixed, contract)
    model = ENCODER_DECODERS[name]
    torch_s = build_encoder_decoder(model.config, model.weights(), TYPES[precision])
    for (output, array), part in zip(
        exact.items(), torch_s(*map(torch.from_numpy, fixed.inputs)), strict=True
    ):
        error = (part.double().numpy() - array)[fixed.judged(output)]
        rms = math.sqrt(np.mean(np.square(error)))
        assert 0.5 < rms / units[output].rms < contract.noise_rms, output


def test_the_corpora_hold_what_they_are_for():
    near, long = (make(64, 3, 100) for make in corpus.CORPORA.values())
    hidden = near.source_mask_BS == 0
    assert hidden[:, 0].any()
    assert hidden[:, -1].any()
    assert set(near.target_ids_BT[:, 0]) == {3}
    assert long.source_ids_BS.shape == long.target_ids_BT.shape == (2, 100)
    assert oracle("t5-tied-relu").architecture.reach > 128
    assert near.judged("logits").all()


def test_the_last_row_has_all_that_is_far():
    rows_D = rows_of(np.arange(300), 32, 128)
    assert rows_D[:16].tolist() == list(range(16))
    assert rows_D[16] == 16
    assert rows_D[112] == 30
    assert set(rows_D[113:]) == {31}


def test_a_weight_that_is_missing_or_of_another_shape_is_named():
    truth = oracle("t5-gated-untied")
    assert weight_shapes(truth.architecture)["lm_head.weight"] == (256, 48)
    for wrong in ({}, {"lm_head.weight": np.zeros((256, 47), np.float32)}):
        others = {n: w for n, w in truth.weights.items() if n != "lm_head.weight"}
        with pytest.raises(PackageError, match=r"lm_head\.weight.*\(256, 48\)"):
            EncoderDecoder(truth.architecture, others | wrong)
