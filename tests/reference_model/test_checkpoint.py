from __future__ import annotations

import dataclasses
import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from reference_model.huggingface import ConfigError, open_folder, write_config
from reference_model.layout import EMBEDDING, HEAD, tensor_shapes
from reference_model.weights import make_weights

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def write(folder, config, weights):
    (folder / "config.json").write_text(json.dumps(write_config(config)))
    save_file(weights, folder / "model.safetensors")


def write_sharded(folder, config, weights):
    """Write two shards whose tensors alternate; return the weight map."""
    (folder / "config.json").write_text(json.dumps(write_config(config)))
    placed = {name: SHARDS[i % 2] for i, name in enumerate(weights)}
    for shard in SHARDS:
        save_file({n: w for n, w in weights.items() if placed[n] == shard}, folder / shard)
    write_index(folder, placed)
    return placed


def write_index(folder, weight_map):
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.fixture
def weights(small):
    return make_weights(small, 1)


@pytest.mark.parametrize("writer", [write, write_sharded])
def test_a_folder_gives_config_and_tensors_in_canonical_order(tmp_path, small, weights, writer):
    writer(tmp_path, small, weights)
    config, tensors = open_folder(tmp_path)
    assert config == small
    assert list(tensors) == list(tensor_shapes(small))
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, weights[name], strict=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_tensors_keep_their_type(tmp_path, small, weights, dtype):
    narrow = {name: tensor.astype(dtype) for name, tensor in weights.items()}
    write(tmp_path, small, narrow)
    _, tensors = open_folder(tmp_path)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, narrow[name], strict=True)


def test_old_checkpoints_frequencies_are_skipped(tmp_path, small, weights):
    derived = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(4, np.float32)}
    write(tmp_path, small, weights | derived)
    assert list(open_folder(tmp_path)[1]) == list(tensor_shapes(small))


def test_a_tied_head_may_repeat_the_embedding(tmp_path, small):
    tied = dataclasses.replace(small, tied=True)
    weights = make_weights(tied, 1)
    write(tmp_path, tied, weights | {HEAD: weights[EMBEDDING]})
    assert list(open_folder(tmp_path)[1]) == list(tensor_shapes(tied))


def test_a_tied_head_may_not_differ_from_the_embedding(tmp_path, small):
    tied = dataclasses.replace(small, tied=True)
    weights = make_weights(tied, 1)
    write(tmp_path, tied, weights | {HEAD: weights[EMBEDDING] + 1})
    with pytest.raises(ConfigError, match=r"is true, but lm_head\.weight differs"):
        open_folder(tmp_path)


BROKEN = {
    "missing lm_head.weight; superfluous none": lambda w: {n: w[n] for n in w if n != HEAD},
    "superfluous model.extra": lambda w: w | {"model.extra": np.ones(1, np.float32)},
    r"lm_head.weight has the shape \(24, 40\)": lambda w: w | {HEAD: w[HEAD].T.copy()},
    "lm_head.weight is of type I8": lambda w: w | {HEAD: w[HEAD].astype(np.int8)},
}


@pytest.mark.parametrize("told", BROKEN)
def test_tensors_that_are_not_the_configs_are_refused(tmp_path, small, weights, told):
    write(tmp_path, small, BROKEN[told](weights))
    with pytest.raises(ConfigError, match=told):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["../model.safetensors", "/model.safetensors", "sub/m.safetensors", "..\\m.safetensors",
     "C:m.safetensors", ".safetensors", "weights.bin", "", None, 3],
)  # fmt: skip
def test_an_index_names_no_file_outside_its_folder(tmp_path, small, weights, name):
    inside = tmp_path / "inside"
    inside.mkdir()
    write(tmp_path, small, weights)
    placed = write_sharded(inside, small, weights)
    write_index(inside, placed | {HEAD: name})
    with pytest.raises(ConfigError, match=r"the plain name of a \.safetensors file"):
        open_folder(inside)


def test_a_tensor_elsewhere_than_the_index_says_is_refused(tmp_path, small, weights):
    placed = write_sharded(tmp_path, small, weights)
    other = SHARDS[1 - SHARDS.index(placed[HEAD])]
    write_index(tmp_path, placed | {HEAD: other})
    with pytest.raises(
        ConfigError, match=r"does not hold what .*: (missing|.*superfluous) lm_head"
    ):
        open_folder(tmp_path)


def test_a_missing_shard_is_named(tmp_path, small, weights):
    write_sharded(tmp_path, small, weights)
    (tmp_path / SHARDS[1]).unlink()
    with pytest.raises(ConfigError, match=f"{SHARDS[1]} does not exist"):
        open_folder(tmp_path)


@pytest.mark.parametrize("index", [{}, [], None, "x"])
def test_an_index_without_a_map_is_refused(tmp_path, small, weights, index):
    write_sharded(tmp_path, small, weights)
    write_index(tmp_path, index)
    with pytest.raises(ConfigError, match="weight_map has to be an object"):
        open_folder(tmp_path)


def test_a_single_file_beside_an_index_is_ambiguous(tmp_path, small, weights):
    write_sharded(tmp_path, small, weights)
    write(tmp_path, small, weights)
    with pytest.raises(ConfigError, match="has both"):
        open_folder(tmp_path)


def test_pickle_files_are_refused_with_advice(tmp_path, small):
    (tmp_path / "config.json").write_text(json.dumps(write_config(small)))
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ConfigError, match=r"pytorch_model.bin.*convert to safetensors"):
        open_folder(tmp_path)


def test_a_folder_without_tensors_is_refused(tmp_path, small):
    (tmp_path / "config.json").write_text(json.dumps(write_config(small)))
    with pytest.raises(ConfigError, match=r"neither model.safetensors nor"):
        open_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"\xff" * 16])
def test_a_damaged_file_is_refused(tmp_path, small, content):
    (tmp_path / "config.json").write_text(json.dumps(write_config(small)))
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match=r"model.safetensors is not|missing lm_head.weight"):
        open_folder(tmp_path)


TEXTS = {
    "keys .'vocab_size'. stand there more than once": '{"vocab_size": 1, "vocab_size": 2}',
    "NaN is not a JSON number": '{"rms_norm_eps": NaN}',
    "not strict JSON": "{",
    "holds a list": "[]",
}


@pytest.mark.parametrize("told", TEXTS)
def test_a_config_file_is_strict_json(tmp_path, told):
    (tmp_path / "config.json").write_text(TEXTS[told])
    with pytest.raises(ConfigError, match=told):
        open_folder(tmp_path)


def test_a_missing_or_undecodable_config_file_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"config.json does not exist"):
        open_folder(tmp_path)
    (tmp_path / "config.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ConfigError, match="cannot be read"):
        open_folder(tmp_path)
