"""The original Transformer: its files, what is refused, its steps and its graphs."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from conformance.oracles.encoder_decoder.transformer.architecture import TransformerArchitecture
from reference_model.encoder_decoder.folders import open_folder, write_config
from reference_model.encoder_decoder.loading import build_encoder_decoder, load_encoder_decoder
from reference_model.encoder_decoder.transformer.config import Side, TransformerConfig, validate
from reference_model.encoder_decoder.transformer.layout import BIAS, SHARED, tensor_shapes
from reference_model.encoder_decoder.transformer.model import sinusoids
from reference_model.encoder_decoder.transformer.weights import TransformerDesign, make_weights
from reference_model.errors import ConfigError

SMALL = TransformerConfig(
    vocab=40,
    dim=24,
    encoder=Side(layers=1, heads=2, hidden=32),
    decoder=Side(layers=2, heads=3, hidden=28),
    activation="relu",
    max_positions=64,
    start=39,
)
STORED = "model.encoder.embed_positions.weight"


def saved(folder, **more):
    """Write a folder as another writer might; a key of None is left out."""
    document = {k: v for k, v in (write_config(SMALL) | more).items() if v is not None}
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    made = make_weights(SMALL, 1, TransformerDesign())
    save_file(made, folder / "model.safetensors", metadata={"format": "pt"})
    return made


def tokens(source=20, target=16):
    drawn = np.random.default_rng(0)
    mask = np.ones((3, source), np.int64)
    mask[1, -5:] = mask[2, :4] = 0
    ids = drawn.integers(0, SMALL.vocab, mask.shape)
    given = (ids, mask, drawn.integers(0, SMALL.vocab, (3, target)))
    return tuple(map(torch.from_numpy, given))


def test_places_are_those_of_the_formula():
    table = sinusoids(50, 6)
    for place, channel in ((0, 0), (1, 1), (49, 2)):
        angle = place / 10000 ** (2 * channel / 6)
        assert abs(float(table[place, channel]) - np.sin(angle)) < 1e-15
        assert abs(float(table[place, channel + 3]) - np.cos(angle)) < 1e-15


def test_steps_of_any_lengths_are_one_pass_and_rows_are_picked():
    own = build_encoder_decoder(SMALL, make_weights(SMALL, 1, TransformerDesign()), torch.float64)
    source, mask, target = tokens()
    at_once = own(source, mask, target)[1]
    cache, steps = own.start(own.encode(source, mask), mask), []
    for piece in target.split([1, 7, 1, 7], dim=1):
        logits, cache = own.step(piece, cache)
        steps.append(logits)
    assert (torch.cat(steps, dim=1) - at_once).abs().max() < 1e-12
    rows = torch.tensor([2, 0, 2])
    cache = own.step(target[:, :5], own.start(own.encode(source, mask), mask))[1]
    logits = own.step(target[rows, 5:], cache.picked(rows))[0]
    assert (logits - at_once[rows, 5:]).abs().max() < 1e-12


def test_repeated_tensors_and_stored_sinusoids_are_read(tmp_path):
    made = saved(tmp_path)
    file = tmp_path / "model.safetensors"
    stored, again = load_file(file), "model.encoder.embed_tokens.weight"
    table = sinusoids(SMALL.max_positions, SMALL.dim).float().numpy()
    stored |= {again: stored[SHARED].copy(), STORED: table}
    save_file(stored, file)
    config, read = open_folder(tmp_path)
    assert config == SMALL
    assert list(read) == list(tensor_shapes(SMALL)) == list(made)
    save_file(stored | {again: 2 * stored[SHARED]}, file)
    with pytest.raises(ConfigError, match="has to repeat"):
        open_folder(tmp_path)
    for wrong in (table[1:].copy(), np.roll(table, 1, axis=0)):
        save_file(stored | {STORED: wrong}, file)
        with pytest.raises(ConfigError, match="is not 64 places of sines, then cosines"):
            open_folder(tmp_path)


@pytest.mark.parametrize("spelled", ["swish", "silu"])
def test_one_activation_has_two_names(spelled, tmp_path):
    saved(tmp_path, activation_function=spelled)
    config = open_folder(tmp_path)[0]
    assert config == dataclasses.replace(SMALL, activation="silu")
    assert TransformerArchitecture.of(write_config(SMALL) | {"activation_function": spelled}) == (
        TransformerArchitecture.of(write_config(config))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation_function": "gelu"}, "activation_function is 'gelu'; only 'relu'"),
        ({"activation_function": None}, "activation_function is missing; only 'relu'"),
        ({"scale_embedding": False}, "scale_embedding is False; only True"),
        ({"normalize_before": True}, "normalize_before is True"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False"),
        ({"decoder_vocab_size": 41}, "decoder_vocab_size is 41 and vocab_size 40; only equal"),
        ({"model_type": "bart"}, "model_type is 'bart'; only 't5' or 'marian'"),
        ({"rotary": True}, "key 'rotary'"),
        ({"encoder_layers": None}, "encoder_layers is missing"),
        ({"encoder_ffn_dim": 31}, "config.json makes it"),
        ({"decoder_layers": 3}, r"missing model\.decoder\.layers\.2"),
    ],
)
def test_what_is_not_understood_is_refused(change, message, tmp_path):
    saved(tmp_path, **change)
    with pytest.raises(ConfigError, match=message):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab": 0}, "vocab is 0"),
        ({"decoder": Side(0, 3, 28)}, r"decoder\.layers is 0"),
        ({"dim": 25}, "has to be even"),
        ({"encoder": Side(1, 5, 32)}, r"encoder\.heads is 5, which does not divide dim 24"),
        ({"activation": "gelu"}, "activation is 'gelu'; known: relu, silu"),
        ({"start": 40}, "start is 40"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        validate(dataclasses.replace(SMALL, **change))


@pytest.mark.slow
def test_an_export_answers_what_torch_answers(tmp_path):
    import onnxruntime  # noqa: PLC0415  # slow to import

    from reference_model.encoder_decoder import export  # noqa: PLC0415  # the same

    made = saved(tmp_path)
    assert made[BIAS].shape == (1, 40)
    export.write_onnx(tmp_path, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for source, target in ((64, 64), (6, 1)):
        given = tokens(source, target)
        feed = {n: x.numpy() for n, x in zip(export.INPUTS, given, strict=True)}
        exact = load_encoder_decoder(tmp_path)(*given)
        for found, part in zip(session.run(None, feed), exact, strict=True):
            # 84 roundings of the largest number: both add up in orders of their own.
            assert np.abs(found - part.numpy()).max() < 1e-5 * part.abs().max()
