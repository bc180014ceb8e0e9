"""The planted models: their weights are numbers that every float type holds."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from reference_model import layout, planted, weights
from reference_model.config_rules import validate
from reference_model.generate import generate
from reference_model.model import build_decoder
from reference_model.zoo import ALL, MODELS

NAMES = list(planted.MODELS)


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_model_is_valid_and_its_weights_are_what_they_were(name):
    model = planted.MODELS[name]
    made = model.weights()
    validate(model.config)
    assert ALL[name] is model
    assert {n: w.shape for n, w in made.items()} == layout.tensor_shapes(model.config)
    assert weights.digest(made) == model.digest


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("narrow", [np.float16, ml_dtypes.bfloat16])
def test_a_narrow_type_holds_every_weight_exactly(name, narrow):
    for tensor in planted.MODELS[name].weights().values():
        assert np.array_equal(tensor.astype(narrow).astype(np.float32), tensor)


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_model_fits_the_seam_of_the_seeded_ones(name):
    assert name not in MODELS
    assert planted.MODELS[name].config.vocab == planted.VOCAB
    assert planted.MODELS[name].config.max_positions > 2000


def test_every_projection_that_leads_nowhere_has_numbers_that_could_go_wrong():
    made = planted.MODELS["bigram"].weights()
    for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj"):
        assert np.count_nonzero(made[f"model.layers.1.{name}.weight"])
    assert not made["model.layers.1.self_attn.o_proj.weight"].any()
    assert not made["model.layers.1.mlp.down_proj.weight"].any()


def test_greedy_text_of_the_copying_model_repeats_its_prompt_for_ever():
    model = planted.MODELS["copy"]
    prompt = list("The bytes of a text, äöü among them: 64 of them come again.".encode()[:64])
    prompt += [258] * (64 - len(prompt))
    decoder = build_decoder(model.config, model.weights())
    assert generate(decoder, [prompt], 130)[0] == (3 * prompt)[:130]
