"""Closed forms against two decoders that know nothing of them, and by what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conformance import spec
from conformance.oracles.architecture import Architecture
from conformance.oracles.closed_form import FORMS
from conformance.oracles.decoder import Decoder
from reference_model import planted
from reference_model.huggingface import write_config
from reference_model.model import build_decoder

FP32 = spec.load().contracts["fp32"]
TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
SHORT = [name for name in FORMS if name != "previous-long"]
ROUNDED = {"mean-attention", "soft", "soft-rope"}


def asked(name, rows=2):
    """Return tokens, a mask that hides some, and positions."""
    reach = FORMS[name].reach
    tokens_BT = np.random.default_rng(5).integers(0, 320, (rows, reach + 20))
    mask_BT = np.ones_like(tokens_BT)
    mask_BT[0, :3] = mask_BT[-1, 4:9] = 0
    return tokens_BT, mask_BT, np.maximum(mask_BT.cumsum(axis=1) - 1, 0)


def test_every_planted_model_has_a_closed_form_and_every_profile_that_is_judged_by_them():
    assert list(FORMS) == list(planted.MODELS) == list(spec.load().profiles["closed-form"].models)


@pytest.mark.parametrize("name", SHORT)
def test_the_numpy_decoder_in_fp64_gives_the_closed_form_from_the_weights(name):
    model = planted.MODELS[name]
    decoder = Decoder(Architecture.from_config(write_config(model.config)), model.weights())
    inputs = asked(name, rows=1)
    answer = FORMS[name].answer(*inputs[:2], FP32)
    error = np.abs(decoder.logits(*inputs) - answer.value_BTV)[answer.defined_BT]
    # What epsilon and the small channels add to the mean square is 2**-26 of it, twice: below the
    # rounding of float32 (2**-25), and so nothing in any type that is judged. Epsilon 3 * 4**-9 is
    # itself exact, and the soft models have the same two norms.
    assert error.max() <= np.abs(answer.value_BTV).max() * 2.0**-25
    assert answer.defined_BT.any()


@pytest.mark.parametrize("precision", TYPES)
@pytest.mark.parametrize("name", SHORT)
def test_the_reference_decoder_gives_the_closed_form_in_each_type(name, precision):
    model = planted.MODELS[name]
    decoder = build_decoder(model.config, model.weights(), TYPES[precision])
    inputs = asked(name)
    logits_BTV = decoder(*map(torch.from_numpy, inputs)).logits_BTV.double().numpy()
    answer = FORMS[name].answer(*inputs[:2], spec.load().contracts[precision])
    error = np.abs(logits_BTV - answer.value_BTV)[answer.defined_BT]
    assert (error <= answer.bound_BTV[answer.defined_BT]).all()


@pytest.mark.parametrize("name", FORMS)
def test_hidden_tokens_are_as_if_they_were_not_there(name):
    tokens_BT, mask_BT, _ = asked(name, rows=1)
    seen = mask_BT[0] == 1
    whole = FORMS[name].answer(tokens_BT, mask_BT, FP32)
    alone = FORMS[name].answer(tokens_BT[:, seen], mask_BT[:, seen], FP32)
    assert np.array_equal(whole.value_BTV[:, seen], alone.value_BTV)
    assert not whole.defined_BT[:, ~seen].any()


@pytest.mark.parametrize("name", FORMS)
def test_logits_are_defined_from_the_token_that_has_enough_before_it(name):
    tokens_BT = np.arange(FORMS[name].reach + 2)[None] % 320
    answer = FORMS[name].answer(tokens_BT, np.ones_like(tokens_BT), FP32)
    assert answer.defined_BT[0].tolist() == [False] * FORMS[name].reach + [True, True]


@pytest.mark.parametrize("name", FORMS)
def test_only_what_every_implementation_rounds_has_a_bound(name):
    answer = FORMS[name].answer(*asked(name)[:2], FP32)
    assert answer.bound_BTV.any() == (name in ROUNDED)


def test_a_mean_over_a_power_of_two_is_exact_and_over_three_it_is_not():
    tokens_BT = np.array([[7, 7, 9, 7]])
    answer = FORMS["mean-attention"].answer(tokens_BT, np.ones_like(tokens_BT), FP32)
    assert answer.value_BTV[0, :, 7].tolist() == [24, 24, 16, 18]
    assert (answer.bound_BTV[0, :, 7] > 0).tolist() == [False, False, True, False]


def test_a_bound_grows_with_the_rounding_of_the_contract():
    contracts = spec.load().contracts
    at = [FORMS["soft"].answer(*asked("soft")[:2], contracts[n]).bound_BTV.max() for n in TYPES]
    assert at == sorted(at)
    assert [float(f"{bound:.1e}") for bound in at] == [1.1e-5, 0.035, 0.28]
