from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import reference_model
from conformance.oracles.architecture import Architecture
from conformance.oracles.decoder import Decoder
from conformance.oracles.operators.softmax import log_softmax
from reference_model import layout, text, trained, weights
from reference_model.huggingface import write_config

MODEL = trained.BYTES
FILE = Path(reference_model.__file__).parent / MODEL.file
LOSS = 0.64
"""Nats a byte, rounded up, that the shipped weights reach on the texts below."""


def test_the_file_is_what_the_config_says():
    shapes = layout.tensor_shapes(MODEL.config)
    with safe_open(FILE, framework="np") as tensors:
        assert set(tensors.keys()) == set(shapes)
        for name, shape in shapes.items():
            held = tensors.get_slice(name)
            assert tuple(held.get_shape()) == shape
            assert held.get_dtype() == "F16"
    assert FILE.stat().st_size < 4_000_000


def test_the_file_has_the_digest_that_is_pinned():
    assert weights.digest(MODEL.weights()) == MODEL.digest


def test_it_has_learnt_its_text():
    from reference_model import train  # noqa: PLC0415  # imports torch

    tokens_BT = train.held_out(16)
    oracle = Decoder(Architecture.from_config(write_config(MODEL.config)), MODEL.weights())
    ids_BT = tokens_BT[:, :-1]
    at_BT = np.broadcast_to(np.arange(ids_BT.shape[1]), ids_BT.shape)
    exact_BTV = log_softmax(oracle.logits(ids_BT, np.ones_like(ids_BT), at_BT))
    loss = -np.take_along_axis(exact_BTV, tokens_BT[:, 1:, None], -1).mean()
    assert loss < LOSS


def test_its_seed_of_held_out_texts_is_not_trained_on():
    trained_on = {text.sample(0, index) for index in range(200)}
    assert not trained_on & {text.sample(1, index) for index in range(50)}


def test_a_text_is_the_same_each_time_and_in_several_scripts():
    assert text.sample(3, 4) == text.sample(3, 4) != text.sample(3, 5)
    many = "".join(text.sample(0, index) for index in range(40))
    for script in "agβя猫ق":
        assert script in many


def test_a_text_is_bytes_between_two_marks():
    tokens = text.encode("né")
    assert tokens == [text.BOS, 0x6E, 0xC3, 0xA9, text.EOS]
    assert max(text.BOS, text.EOS, text.PAD) == text.VOCAB - 1


@pytest.fixture(scope="module")
def small():
    """A model and a recipe of a second."""
    from reference_model import train  # noqa: PLC0415  # imports torch

    config = dataclasses.replace(MODEL.config, dim=32, layers=1, max_positions=24)
    recipe = train.Recipe(steps=6, rows=2, warm_up=2)
    return lambda **changed: train.train(dataclasses.replace(recipe, **changed), config)


def test_training_repeats_bit_for_bit(small):
    assert weights.digest(small()) == weights.digest(small())
    assert weights.digest(small()) != weights.digest(small(seed=1))


def test_training_lowers_the_loss(small):
    import torch  # noqa: PLC0415

    from reference_model import train  # noqa: PLC0415  # imports torch
    from reference_model.model import build_decoder  # noqa: PLC0415

    config = dataclasses.replace(MODEL.config, dim=32, layers=1, max_positions=24)
    tokens_BT = torch.from_numpy(train.held_out(8, config))
    losses = [
        float(train.loss_of(build_decoder(config, small(steps=steps)), tokens_BT))
        for steps in (0, 30)
    ]
    assert losses[1] < losses[0] - 1


def test_the_rate_rises_and_falls():
    from reference_model import train  # noqa: PLC0415  # imports torch

    recipe = train.Recipe(steps=100, warm_up=10)
    shares = [train.schedule(step, recipe) for step in range(100)]
    assert shares[9] == shares[10] == max(shares) == 1
    assert shares[0] == pytest.approx(0.1)
    assert shares[-1] == pytest.approx(0.01, abs=1e-3)
