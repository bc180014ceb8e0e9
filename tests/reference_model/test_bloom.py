"""BLOOM's own keys and checkpoint, read by the reference model and, by itself, by the oracle."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from conformance import models
from conformance.errors import PackageError
from conformance.oracles.architecture import Architecture
from conformance.oracles.checkpoint import stored_as, weights_of
from conformance.oracles.operators.attention_variants import alibi_slopes
from conformance.package import open_package
from reference_model import alibi, bloom
from reference_model.config import Rope
from reference_model.config_rules import validate
from reference_model.errors import ConfigError
from reference_model.forms import gathered, scattered
from reference_model.huggingface import open_folder, read_config, write_config
from reference_model.layout import tensor_shapes
from reference_model.package import write_package
from reference_model.zoo import MODELS

MODEL = MODELS["bloom-alibi"]
ABSENT = object()


@pytest.fixture
def document():
    return write_config(MODEL.config, dialect=4)


@pytest.fixture
def folder(tmp_path):
    write_package(MODEL, tmp_path)
    return tmp_path


def same(found, expected):
    return list(found) == list(expected) and all(
        np.array_equal(found[n], expected[n]) for n in found
    )


def changed(document, change):
    return {key: value for key, value in (document | change).items() if value is not ABSENT}


def test_a_checkpoint_alternates_by_heads_and_is_read_back(folder):
    stored, weights = load_file(folder / "model.safetensors"), MODEL.weights()
    fused = stored["transformer.h.1.self_attention.query_key_value.weight"]
    assert fused.shape == (288, 96)
    for part, one in enumerate("qkv"):
        rows = weights[f"model.layers.1.self_attn.{one}_proj.weight"]
        assert np.array_equal(fused[48 + 16 * part : 64 + 16 * part], rows[16:32]), "of head 1"
    assert same(open_folder(folder)[1], weights)


def test_forms_are_inverse():
    form, shapes = bloom.form(MODEL.config), tensor_shapes(MODEL.config)
    assert same(gathered(scattered(MODEL.weights(), form), form, shapes), MODEL.weights())


RELEASED = {
    "hidden_size": ABSENT,
    "n_head": ABSENT,
    "n_embed": 96,
    "num_attention_heads": 6,
    "tie_word_embeddings": ABSENT,
    "n_inner": None,
    "offset_alibi": 100,
    "attention_softmax_in_fp32": True,
    "bias_dropout_fusion": True,
    "masked_softmax_fusion": True,
    "skip_bias_add": True,
    "skip_bias_add_qkv": False,
    "unk_token_id": 0,
}


def test_the_names_of_the_first_releases_are_read_alike(folder, document):
    stored = load_file(folder / "model.safetensors")
    plain = {name.removeprefix("transformer."): tensor for name, tensor in stored.items()}
    save_file(plain, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(changed(document, RELEASED)))
    config, weights = open_folder(folder)
    assert config == MODEL.config
    assert same(weights, MODEL.weights())
    package = open_package(folder)
    seen = weights_of(package.config, package.weights())
    assert all(np.array_equal(seen[name], tensor) for name, tensor in weights.items())


def test_the_oracle_reads_the_same_weights_and_writes_them_back(folder):
    package, weights = open_package(folder), MODEL.weights()
    seen = weights_of(package.config, package.weights())
    assert set(seen) == set(weights)
    assert all(np.array_equal(seen[name], tensor) for name, tensor in weights.items())
    written = stored_as(package.config, package.weights(), weights)
    assert set(written) == set(package.weights())
    assert all(np.array_equal(written[n], tensor) for n, tensor in package.weights().items())


def test_a_disguised_model_is_written_in_the_same_form(folder):
    package = models.disguised(open_package(folder, "bloom-alibi"))
    assert set(package.weights()) == set(load_file(folder / "model.safetensors"))


def test_no_length_is_needed(document):
    assert read_config(changed(document, {"seq_length": ABSENT})) == MODEL.config


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_head": 5}, "n_head is 5, which does not divide hidden_size 96"),
        ({"n_embed": 48}, "hidden_size says 96 and n_embed says 48; they have to agree"),
        ({"n_layer": ABSENT}, "n_layer is missing"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False; allowed: True"),
        ({"apply_residual_connection_post_layernorm": True}, "post_layernorm is True"),
        ({"rope_theta": 10000.0}, "'rope_theta' .* is not understood for a bloom"),
        ({"n_inner": 96}, "n_inner is 96"),
        ({"architectures": ["GPT2LMHeadModel"]}, "architectures is"),
    ],
)
def test_what_is_not_computed_is_refused(document, change, told):
    with pytest.raises(ConfigError, match=told):
        read_config(changed(document, change))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_head": 5}, "5 n_head do not divide 96 hidden_size"),
        ({"n_layer": ABSENT}, "n_layer is missing"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False"),
        ({"apply_residual_connection_post_layernorm": True}, "post_layernorm is True"),
    ],
)
def test_the_oracle_refuses_by_itself(document, change, told):
    with pytest.raises(PackageError, match=told):
        Architecture.from_config(changed(document, change))


@pytest.mark.parametrize("change", [{"rope": Rope(10000.0)}, {"learned_positions": True}])
def test_positions_have_one_way(change):
    with pytest.raises(ValueError, match="one of the three"):
        validate(dataclasses.replace(MODEL.config, **change))


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 12, 16, 71, 112])
def test_slopes_are_the_oracles(heads):
    assert np.allclose(alibi.slopes(heads), alibi_slopes(heads), rtol=1e-15, atol=0)


def test_slopes_of_six_heads_are_those_of_four_and_two_between():
    assert alibi.slopes(6) == (2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3)


def test_distances_count_the_keys_that_are_seen():
    mask = torch.tensor([[0, 1, 1, 0, 1]]) != 0
    allowed = (torch.tril(torch.ones(5, 5, dtype=torch.bool)) & mask)[None, None]
    assert alibi.distances(allowed)[0, 0, 4, [1, 2, 4]].tolist() == [2, 1, 0]
