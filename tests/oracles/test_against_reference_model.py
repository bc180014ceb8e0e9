"""Two independent implementations, this NumPy oracle and the torch reference model, agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from conformance.oracles.architecture import Architecture
from conformance.oracles.corpus import corpus
from conformance.oracles.decoder import Decoder
from conformance.oracles.ensemble import noise
from contracts import contract
from reference_model.config import Linear, Llama3, Rope, Yarn
from reference_model.huggingface import write_config
from reference_model.model import build_decoder
from reference_model.weights import make_weights
from reference_model.zoo import MODELS

FP32 = contract("float32")


def answers(config, weights, dtype=torch.float64, dialect=5):
    """Return oracle, corpus, and the reference model's answer to the corpus."""
    architecture = Architecture.from_config(write_config(config, dialect=dialect))
    inputs = corpus(architecture.vocab, architecture.max_positions)
    arrays = (inputs.input_ids_BT, inputs.attention_mask_BT, inputs.position_ids_BT)
    reference = build_decoder(config, weights, dtype)
    output = reference(*map(torch.from_numpy, arrays), taps=True)
    return Decoder(architecture, weights), inputs, arrays, output


@pytest.mark.parametrize("dialect", [4, 5])
@pytest.mark.parametrize("name", MODELS)
def test_logits_and_taps_agree_in_fp64(name, dialect):
    model = MODELS[name]
    oracle, inputs, arrays, output = answers(model.config, model.weights(), dialect=dialect)
    logits_BTV, judged = oracle.logits(*arrays), inputs.attention_mask_BT != 0
    error = np.abs(output.logits_BTV.numpy() - logits_BTV)[judged]
    assert error.max() < 1e-12 * np.abs(logits_BTV).max()
    for tap, value in oracle.hidden_states(*arrays).items():
        error = np.abs(output.taps[tap].numpy() - value)[judged]
        assert error.max() < 1e-12 * np.abs(value).max(), tap


@pytest.mark.parametrize(
    "rope",
    [
        Rope(500000.0),
        Rope(10000.0, Linear(4.0)),
        Rope(10000.0, Llama3(8.0, 1.0, 4.0, 64)),
        Rope(500000.0, Llama3(32.0, 1.0, 2.0, 1024)),
        Rope(10000.0, Yarn(4.0, 64)),
        Rope(500000.0, Yarn(32.0, 128, 8.0, 0.5, truncate=False)),
        Rope(10000.0, Yarn(4.0, 64, attention_factor=0.8)),
        Rope(10000.0, Yarn(4.0, 64, mscale=0.7, mscale_all_dim=0.4)),
        Rope(10000.0, Yarn(4.0, 64, beta_fast=32.0, beta_slow=31.0)),
    ],
)
def test_every_rotary_scaling_agrees_in_fp64(rope):
    config = replace(MODELS["llama-gqa"].config, rope=rope, layers=1)
    oracle, _, arrays, output = answers(config, make_weights(config, 3))
    logits_BTV = oracle.logits(*arrays)
    error = np.abs(output.logits_BTV.numpy() - logits_BTV)
    assert error.max() < 1e-12 * np.abs(logits_BTV).max()


@pytest.mark.parametrize("name", MODELS)
def test_reference_model_in_fp32_has_about_one_unit_of_noise(name):
    model = MODELS[name]
    oracle, inputs, arrays, output = answers(model.config, model.weights(), torch.float32)
    expected_BTV, judged = oracle.logits(*arrays), inputs.attention_mask_BT != 0
    unit = noise(oracle, inputs, FP32).unit
    error = (output.logits_BTV.numpy() - expected_BTV)[judged]
    assert 0.7 < np.sqrt(np.mean(error**2)) / unit.rms < 1.4
    assert np.abs(error).max() / unit.max < 2.5


def test_a_ladder_of_margins_has_every_size_and_fp32_loses_the_small_ones_alone():
    model = MODELS["llama-mha-scaled"]
    oracle, inputs, arrays, output = answers(model.config, model.weights(), torch.float32)
    judged = inputs.judged_BT
    exact_NV, answer_NV = oracle.logits(*arrays)[judged], output.logits_BTV.numpy()[judged]
    margin_N = np.diff(np.sort(exact_NV, axis=1)[:, -2:], axis=1)[:, 0]
    sizes, _ = np.histogram(np.log10(margin_N), bins=np.arange(-7, 1))
    assert (sizes >= 10).all()
    lost_N = answer_NV.argmax(axis=1) != exact_NV.argmax(axis=1)
    unit = noise(oracle, inputs, FP32).unit
    assert lost_N.any()
    assert margin_N[lost_N].max() < 4 * unit.rms
    assert lost_N[margin_N < unit.rms / 4].mean() > 0.1
