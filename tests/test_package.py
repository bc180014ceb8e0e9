"""Model folders: what opens, what it offers, and what is refused with which advice."""

import hashlib
import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from conformance.errors import FormatError, PackageError, UsageError
from conformance.formats import safetensors
from conformance.package import expected_shapes, open_package

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 12,
    "hidden_size": 8,
    "intermediate_size": 10,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "hidden_act": "silu",
    "max_position_embeddings": 32,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "dtype": "float32",
    "bos_token_id": None,
    "eos_token_id": None,
}
TIED = {**CONFIG, "tie_word_embeddings": True}


def tensors(config=CONFIG, dtype=np.float32):
    rng = np.random.default_rng(7)
    return {n: rng.normal(size=s).astype(dtype) for n, s in expected_shapes(config).items()}


def make(folder, config=CONFIG, weights=None):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors(config) if weights is None else weights, folder / "model.safetensors")
    return folder


def make_sharded(folder, weights):
    make(folder, CONFIG, weights)
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    halves = {
        "model-00001-of-00002.safetensors": names[:9],
        "model-00002-of-00002.safetensors": names[9:],
    }
    for shard, part in halves.items():
        save_file({name: weights[name] for name in part}, folder / shard)
    index = {
        "metadata": {"total_size": sum(w.nbytes for w in weights.values())},
        "weight_map": {name: shard for shard, part in halves.items() for name in part},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def write_bfloat16(path, arrays):
    """Write bfloat16, which the NumPy side of safetensors names only in some versions."""
    header, data = {}, b""
    for name, array in arrays.items():
        raw = array.astype(ml_dtypes.bfloat16).tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": "BF16", "shape": list(array.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def refused(folder, error=PackageError):
    with pytest.raises(error) as caught:
        open_package(folder)
    return str(caught.value)


def test_package_offers_what_the_folder_holds(tmp_path):
    weights = tensors()
    package = open_package(make(tmp_path / "tiny"))
    assert (package.name, package.weights_dtype) == ("tiny", "float32")
    assert package.config == CONFIG
    seen = package.weights()
    assert list(seen) == list(expected_shapes(CONFIG))
    for name, expected in weights.items():
        np.testing.assert_array_equal(seen[name], expected)
    assert open_package(str(tmp_path / "tiny"), name="other").name == "other"


def test_weights_cannot_be_written_to(tmp_path):
    weights = open_package(make(tmp_path / "tiny")).weights()
    with pytest.raises(ValueError, match="read-only"):
        weights["model.norm.weight"][0] = 1


def test_shards_hold_the_same_model(tmp_path):
    weights = tensors()
    sharded = open_package(make_sharded(tmp_path / "sharded", weights)).weights()
    assert list(sharded) == list(expected_shapes(CONFIG))
    for name, expected in weights.items():
        np.testing.assert_array_equal(sharded[name], expected)


@pytest.mark.parametrize("small", [True, False])
def test_files_of_small_models_are_read_once_and_large_tensors_mapped_anew(
    small, tmp_path, monkeypatch
):
    if not small:
        monkeypatch.setattr(safetensors, "_SMALL", 0)
    weights = open_package(make_sharded(tmp_path / "sharded", tensors())).weights()
    seen, again = ({name: weights[name] for name in weights} for _ in range(2))
    assert all(np.shares_memory(array, again[name]) == small for name, array in seen.items())
    files = {id(array.base) for array in seen.values() if isinstance(array.base, bytes)}
    assert len(files) == (2 if small else 0), "what is mapped keeps its file open"


def test_bfloat16_is_told_and_mapped(tmp_path):
    folder = make(tmp_path / "tiny")
    write_bfloat16(folder / "model.safetensors", tensors())
    package = open_package(folder)
    assert package.weights_dtype == "bfloat16"
    assert package.weights()["lm_head.weight"].dtype == ml_dtypes.bfloat16


def test_anyone_can_recompute_the_digest(tmp_path):
    folder = make_sharded(tmp_path / "sharded", tensors())
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"  # as sha256sum prints it
        for file in sorted(folder.iterdir())
    ]
    printed = "".join(lines).encode()
    assert open_package(folder).digest == hashlib.sha256(printed).hexdigest()


def test_digest_follows_content_and_not_the_place(tmp_path):
    one, two = open_package(make(tmp_path / "a")), open_package(make(tmp_path / "b"), name="a")
    assert one == two
    assert hash(one) == hash(two)
    assert open_package(make(tmp_path / "a", {**CONFIG, "rms_norm_eps": 1e-6})).digest != one.digest
    changed = tensors()
    changed["model.norm.weight"][0] += 1
    assert open_package(make(tmp_path / "b", weights=changed)).digest != one.digest


def test_builder_makes_what_the_folder_lacks(tmp_path):
    asked = []

    def build(package, name):
        asked.append((package.name, name))
        return tmp_path / "cache" / name

    folder = make(tmp_path / "tiny")
    package = open_package(folder, builder=build)
    assert package.file("model.onnx") == tmp_path / "cache" / "model.onnx"
    assert asked == [("tiny", "model.onnx")]
    (folder / "model.onnx").write_bytes(b"x")
    assert package.file("model.onnx") == folder / "model.onnx"
    assert len(asked) == 1


def test_only_files_that_had_to_be_made_count_as_built(tmp_path):
    package = open_package(make(tmp_path / "tiny"), builder=lambda _, name: tmp_path / name)
    package.file("config.json")
    assert package.built == set()
    package.file("model.onnx")
    assert package.built == {"model.onnx"}


def test_absent_file_without_a_builder_is_told(tmp_path):
    package = open_package(make(tmp_path / "tiny"))
    with pytest.raises(PackageError, match=r"no model\.onnx; there are config\.json, model\.safe"):
        package.file("model.onnx")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "a\\b", "", "..", "."])
def test_only_plain_names_are_files_of_a_package(tmp_path, name):
    package = open_package(make(tmp_path / "tiny"))
    with pytest.raises(UsageError, match="plain name"):
        package.file(name)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_link_out_of_the_folder_is_refused(tmp_path, name):
    folder = make(tmp_path / "tiny")
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    assert "out of the folder" in refused(folder)


def test_tied_head_is_left_out(tmp_path):
    weights = tensors(TIED)
    assert "lm_head.weight" not in weights
    alone = open_package(make(tmp_path / "a", TIED, weights))
    repeated = {**weights, "lm_head.weight": weights["model.embed_tokens.weight"].copy()}
    both = open_package(make(tmp_path / "b", TIED, repeated))
    assert list(alone.weights()) == list(both.weights())


def test_tied_head_that_differs_is_refused(tmp_path):
    weights = tensors(TIED)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"] + 1
    assert "lm_head.weight differs" in refused(make(tmp_path / "a", TIED, weights))


def test_rotary_buffers_of_old_checkpoints_are_left_out(tmp_path):
    buffer = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(3, np.float32)}
    package = open_package(make(tmp_path / "a", weights=tensors() | buffer))
    assert list(package.weights()) == list(expected_shapes(CONFIG))


def test_biases_are_expected_where_the_config_has_them(tmp_path):
    config = {**CONFIG, "attention_bias": True, "mlp_bias": True}
    shapes = expected_shapes(config)
    assert shapes["model.layers.1.self_attn.k_proj.bias"] == (12,)
    assert shapes["model.layers.0.mlp.down_proj.bias"] == (8,)
    assert len(open_package(make(tmp_path / "a", config)).weights()) == len(shapes)
    assert "bias" in refused(make(tmp_path / "b", CONFIG, tensors(config)))


def test_every_difference_from_the_config_is_listed(tmp_path):
    weights = tensors()
    del weights["model.layers.1.mlp.up_proj.weight"]
    weights["model.layers.2.mlp.up_proj.weight"] = np.zeros((10, 8), np.float32)
    weights["model.norm.weight"] = np.zeros(9, np.float32)
    told = refused(make(tmp_path / "a", weights=weights))
    assert "missing: model.layers.1.mlp.up_proj.weight" in told
    assert "not expected: model.layers.2.mlp.up_proj.weight" in told
    assert "of a wrong shape: model.norm.weight [9] for [8]" in told


@pytest.mark.parametrize("dtype", [np.float16, np.int8])
def test_mixed_and_unknown_types_are_refused(tmp_path, dtype):
    weights = tensors()
    weights["model.norm.weight"] = weights["model.norm.weight"].astype(dtype)
    told = refused(make(tmp_path / "a", weights=weights))
    assert np.dtype(dtype).name in told
    assert "one type for all" in told


def test_missing_folder_is_told(tmp_path):
    assert "there is no model folder" in refused(tmp_path / "absent")


def test_missing_config_is_told_with_what_is_there(tmp_path):
    folder = make(tmp_path / "a")
    (folder / "config.json").unlink()
    assert refused(folder).endswith("has no config.json; there are model.safetensors")


def test_pickle_is_never_loaded(tmp_path):
    folder = make(tmp_path / "a")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    told = refused(folder)
    assert "pytorch_model.bin" in told
    assert "A pickle is a program" in told
    assert "save_pretrained" in told


def test_missing_weights_are_told(tmp_path):
    folder = make(tmp_path / "a")
    (folder / "model.safetensors").rename(folder / "model.gguf")
    assert "has no model.safetensors; there are config.json, model.gguf" in refused(folder)


def test_single_file_beside_an_index_is_refused(tmp_path):
    folder = make_sharded(tmp_path / "a", tensors())
    make(folder)
    assert "has both" in refused(folder)


def test_unknown_architecture_is_told_with_what_is_supported(tmp_path):
    folder = make(tmp_path / "a")
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt_neox", "n_head": 8}))
    told = refused(folder)
    assert "config.json: model_type is 'gpt_neox'; the suite evaluates decoders" in told
    assert "rope_theta" in told
    assert "leave out --model" in told


def test_conflict_in_the_config_is_refused(tmp_path):
    folder = make(tmp_path / "a", {**CONFIG, "rope_theta": 500000.0})
    assert "L3-ROPE-CONFLICT" in refused(folder, FormatError)


def test_malformed_weights_are_refused(tmp_path):
    folder = make(tmp_path / "a")
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    assert "L3-TRAILING-BYTES" in refused(folder, FormatError)


@pytest.mark.parametrize("version", [4, 5])
def test_folder_that_transformers_writes_opens(tmp_path, version):
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    keys = {k: CONFIG[k] for k in CONFIG if k not in {"architectures", "model_type", "dtype"}}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**keys)).to(torch.float32)
    model.save_pretrained(tmp_path)
    if version == 4:
        written = json.loads((tmp_path / "config.json").read_text())
        rope = written.pop("rope_parameters")
        written |= {"rope_theta": rope["rope_theta"], "rope_scaling": None}
        written["torch_dtype"] = written.pop("dtype")
        (tmp_path / "config.json").write_text(json.dumps(written))
    package = open_package(tmp_path)
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(package.weights()[name], tensor.numpy())
