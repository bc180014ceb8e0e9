"""The encoder: against an independent implementation in float64, its files, its refusals."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from reference_model import weights
from reference_model.encoder import huggingface
from reference_model.encoder.config import EncoderConfig, validate
from reference_model.encoder.layout import tensor_shapes
from reference_model.encoder.model import build_encoder, load_encoder
from reference_model.encoder.weights import EncoderDesign, make_weights
from reference_model.encoder.zoo import ENCODERS
from reference_model.errors import ConfigError
from reference_model.package import write_package

SMALL = EncoderConfig(
    vocab=40,
    types=3,
    dim=24,
    layers=2,
    heads=4,
    hidden=32,
    max_positions=20,
    eps=1e-6,
    pooler=True,
    head=True,
)


def tokens(config, seed=0):
    """Return ids, mask and types: padding at both sides and a hole, all types."""
    drawn = np.random.default_rng(seed)
    shape = (4, config.max_positions)
    mask = np.ones(shape, np.int64)
    mask[1, -5:] = mask[2, :4] = mask[3, 6:9] = 0
    ids, types = drawn.integers(0, config.vocab, shape), drawn.integers(0, config.types, shape)
    return tuple(map(torch.from_numpy, (ids, mask, types)))


def saved(folder, config, architecture="BertForMaskedLM", rename=lambda name: name, **more):
    """Write a folder as another writer might."""
    document = huggingface.write_config(config) | {"architectures": [architecture]} | more
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    made = make_weights(config, 1, EncoderDesign(embedding=0.05))
    tensors = {rename(name): array for name, array in made.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return made


@pytest.mark.parametrize("model", ENCODERS.values(), ids=ENCODERS)
def test_seeded_weights_are_the_same_bytes_everywhere(model):
    assert weights.digest(model.weights()) == model.digest


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ENCODERS)
def test_all_answers_equal_those_of_transformers(name, attention, tmp_path):
    transformers = pytest.importorskip("transformers")
    model = ENCODERS[name]
    write_package(model, tmp_path)
    given = tokens(model.config)
    own = load_encoder(tmp_path, torch.float64)(*given)
    named = dict(zip(("input_ids", "attention_mask", "token_type_ids"), given, strict=True))
    how = {"dtype": torch.float64, "attn_implementation": attention}
    trunk = transformers.AutoModel.from_pretrained(tmp_path, **how).eval()
    whole = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path, **how).eval()
    with torch.no_grad():
        other, logits = trunk(**named), whole(**named).logits
    seen = given[1].bool()
    assert (own.hidden_BTD - other.last_hidden_state)[seen].abs().max() < 1e-10
    assert (own.pooled_BD - other.pooler_output)[seen[:, 0]].abs().max() < 1e-10
    assert (own.logits_BTV - logits)[seen].abs().max() < 1e-10


@pytest.mark.parametrize("kind", ["BertModel", "BertForMaskedLM", "BertForPreTraining"])
def test_checkpoints_of_transformers_are_read_as_it_reads_them(kind, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=40,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=20,
    )
    torch.manual_seed(0)
    model = getattr(transformers, kind)(config).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(tmp_path)
    own = load_encoder(tmp_path, torch.float64)
    given = tokens(own.config)
    answer = own(*given)
    named = dict(zip(("input_ids", "attention_mask", "token_type_ids"), given, strict=True))
    with torch.no_grad():
        other = model(**named)
        trunk = model if kind == "BertModel" else model.bert
        hidden = trunk(**named).last_hidden_state
    seen = given[1].bool()
    assert (answer.hidden_BTD - hidden)[seen].abs().max() < 1e-10
    assert (answer.pooled_BD is None) == (kind == "BertForMaskedLM")
    assert (answer.logits_BTV is None) == (kind == "BertModel")
    if answer.logits_BTV is not None:
        logits = other.logits if kind == "BertForMaskedLM" else other.prediction_logits
        assert (answer.logits_BTV - logits)[seen].abs().max() < 1e-10
    if kind == "BertModel":
        assert (answer.pooled_BD - other.pooler_output)[seen[:, 0]].abs().max() < 1e-10


def test_names_of_older_checkpoints_and_repeated_tensors_are_read(tmp_path):
    def rename(name):
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        return old.replace("LayerNorm.bias", "LayerNorm.beta")

    made = saved(tmp_path, SMALL, rename=rename)
    file = tmp_path / "model.safetensors"
    stored = load_file(file)
    stored["cls.predictions.decoder.weight"] = stored["bert.embeddings.word_embeddings.weight"]
    stored["bert.embeddings.position_ids"] = np.arange(20)[None].astype(np.float32)
    save_file(stored, file)
    config, read = huggingface.open_folder(tmp_path)
    assert config == SMALL
    assert list(read) == list(tensor_shapes(SMALL))
    assert all(np.array_equal(read[name], array) for name, array in made.items())
    stored["cls.predictions.decoder.weight"] = 2 * stored["cls.predictions.decoder.weight"]
    save_file(stored, file)
    with pytest.raises(ConfigError, match="has to repeat"):
        huggingface.open_folder(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new'; only 'gelu' is computed here"),
        ({"position_embedding_type": "relative_key"}, "only 'absolute'"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"is_decoder": 0}, "is_decoder is 0"),
        ({"model_type": "roberta"}, "model_type is 'roberta'"),
        ({"rotary_value": True}, "key 'rotary_value'"),
        ({"layer_norm_eps": None}, "layer_norm_eps is missing"),
        ({"num_attention_heads": 5}, "does not divide dim 24"),
        ({"type_vocab_size": 2}, "config.json makes it"),
        ({"num_hidden_layers": 3}, "missing bert.encoder.layer.2"),
    ],
)
def test_what_is_not_understood_is_refused(change, message, tmp_path):
    saved(tmp_path, SMALL, **change)
    with pytest.raises(ConfigError, match=message):
        huggingface.open_folder(tmp_path)


@pytest.mark.parametrize("change", [{"heads": 0}, {"heads": 5}, {"eps": 0.0}, {"types": 0}])
def test_a_config_that_contradicts_itself_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        validate(dataclasses.replace(SMALL, **change))


def test_an_encoder_has_no_more_parts_than_its_config():
    bare = dataclasses.replace(SMALL, pooler=False, head=False)
    made = make_weights(bare, 1, EncoderDesign(embedding=0.05))
    answer = build_encoder(bare, made)(*tokens(bare))
    assert answer.pooled_BD is None
    assert answer.logits_BTV is None


@pytest.mark.slow
def test_an_export_answers_what_torch_answers_and_is_the_same_bytes(tmp_path):
    import onnxruntime  # noqa: PLC0415  # slow to import

    from reference_model.encoder import export  # noqa: PLC0415  # the same

    saved(tmp_path, SMALL)
    files = [tmp_path / "one.onnx", tmp_path / "two.onnx"]
    for file in files:
        export.write_onnx(tmp_path, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    session = onnxruntime.InferenceSession(str(files[0]))
    assert [one.name for one in session.get_inputs()] == list(export.INPUTS)
    assert [one.name for one in session.get_outputs()] == list(export.OUTPUTS)
    for rows in (4, 1):
        given = [x[:rows] for x in tokens(SMALL)]
        feed = {n: x.numpy() for n, x in zip(export.INPUTS, given, strict=True)}
        exact = load_encoder(tmp_path)(*given)
        for found, part in zip(session.run(None, feed), exact, strict=True):
            assert np.abs(found - part.numpy()).max() < 2e-5
