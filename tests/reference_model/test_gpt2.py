"""GPT-2's own keys and checkpoint, read by the reference model and, by itself, by the oracle."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from conformance import models
from conformance.errors import PackageError
from conformance.oracles.architecture import Architecture
from conformance.oracles.checkpoint import stored_as, weights_of
from conformance.package import open_package
from reference_model import gpt2
from reference_model.config import Norm, Rope
from reference_model.config_rules import validate
from reference_model.errors import ConfigError
from reference_model.forms import gathered, scattered
from reference_model.huggingface import open_folder, read_config, write_config
from reference_model.layout import tensor_shapes
from reference_model.package import write_package
from reference_model.zoo import MODELS

MODEL = MODELS["gpt2-learned"]


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


def test_a_checkpoint_is_transposed_and_fused_and_read_back(folder):
    stored, weights = load_file(folder / "model.safetensors"), MODEL.weights()
    fused, query = stored["transformer.h.1.attn.c_attn.weight"], "model.layers.1.self_attn.q_proj"
    assert fused.shape == (96, 288)
    assert np.array_equal(fused[:, :96], weights[f"{query}.weight"].T)
    assert stored["transformer.h.0.mlp.c_proj.weight"].shape == (256, 96)
    assert same(open_folder(folder)[1], weights)


def test_forms_are_inverse():
    form, shapes = gpt2.form(MODEL.config), tensor_shapes(MODEL.config)
    assert same(gathered(scattered(MODEL.weights(), form), form, shapes), MODEL.weights())


def first_release(folder):
    """Write the names of the first releases, their masks, and a head that repeats the embedding."""
    stored = load_file(folder / "model.safetensors")
    plain = {name.removeprefix("transformer."): tensor for name, tensor in stored.items()}
    plain["h.0.attn.bias"] = np.tril(np.ones((1, 1, 8, 8), np.float32))
    plain["lm_head.weight"] = plain["wte.weight"].copy()
    save_file(plain, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    del config["tie_word_embeddings"]
    (folder / "config.json").write_text(json.dumps(config))


def test_the_names_of_the_first_releases_are_read_alike(folder):
    first_release(folder)
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
    assert len(seen) == len(weights)
    assert all(np.array_equal(seen[name], tensor) for name, tensor in weights.items())
    written = stored_as(package.config, package.weights(), weights)
    assert set(written) == set(package.weights())
    assert all(np.array_equal(written[n], tensor) for n, tensor in package.weights().items())


def test_a_disguised_model_is_written_in_the_same_form(folder):
    package = models.disguised(open_package(folder, "gpt2-learned"))
    assert set(package.weights()) == set(load_file(folder / "model.safetensors"))


def test_a_head_that_differs_from_a_tied_embedding_is_refused(folder):
    first_release(folder)
    stored = load_file(folder / "model.safetensors")
    stored["lm_head.weight"][0] += 1
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"lm_head\.weight differs from wte\.weight"):
        open_folder(folder)
    with pytest.raises(PackageError, match=r"lm_head\.weight differs from wte\.weight"):
        open_package(folder)


@pytest.mark.parametrize("named", ["gelu_new", "gelu_pytorch_tanh"])
def test_both_names_of_the_tanh_form_mean_it(document, named):
    assert read_config({**document, "activation_function": named}) == MODEL.config


def test_units_are_four_times_the_width_where_nothing_is_said(document):
    assert read_config({**document, "n_inner": None}).mlp.hidden == 4 * 96
    assert Architecture.from_config({**document, "n_inner": None}).hidden == 4 * 96


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation_function": "silu"}, "activation_function is 'silu'"),
        ({"n_head": 5}, "n_head is 5, which does not divide n_embd 96"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        ({"rope_theta": 10000.0}, "'rope_theta' .* is not understood for a gpt2"),
        ({"n_positions": None}, "n_positions is missing"),
        ({"architectures": ["LlamaForCausalLM"]}, "only None or"),
    ],
)
def test_what_is_not_computed_is_refused(document, change, message):
    with pytest.raises(ConfigError, match=message):
        read_config({**document, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"activation_function": "silu"},
            "activation_function is 'silu'; the oracle computes gelu",
        ),
        ({"n_head": 5}, "5 n_head do not divide 96 n_embd"),
        ({"scale_attn_weights": False}, "scale_attn_weights is False"),
        ({"layer_norm_epsilon": None}, "layer_norm_epsilon is missing"),
    ],
)
def test_what_the_oracle_does_not_compute_is_refused(document, change, message):
    with pytest.raises(PackageError, match=message):
        Architecture.from_config({**document, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rope": Rope(10000.0)}, "positions are learned, or turn heads, or lower"),
        ({"learned_positions": False}, "one of the three"),
        ({"norm": Norm(1e-5, offset=1.0, centred=True)}, "neither an offset nor a width"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        validate(dataclasses.replace(MODEL.config, **change))


def test_a_mixture_of_families_is_not_written():
    with pytest.raises(ValueError, match="no family"):
        write_config(dataclasses.replace(MODELS["llama-gqa"].config, mlp=MODEL.config.mlp))
