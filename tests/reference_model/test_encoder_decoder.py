"""The encoder-decoder: against an independent implementation in float64, its files, refusals."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from reference_model import weights
from reference_model.encoder_decoder import huggingface
from reference_model.encoder_decoder.buckets import bucket_of
from reference_model.encoder_decoder.config import Buckets, EncoderDecoderConfig, validate
from reference_model.encoder_decoder.layout import HEAD, SHARED, tensor_shapes
from reference_model.encoder_decoder.loading import build_encoder_decoder, load_encoder_decoder
from reference_model.encoder_decoder.transformer.model import sinusoids
from reference_model.encoder_decoder.weights import EncoderDecoderDesign, make_weights
from reference_model.encoder_decoder.zoo import ENCODER_DECODERS
from reference_model.errors import ConfigError
from reference_model.package import write_package

SMALL = EncoderDecoderConfig(
    vocab=40,
    dim=24,
    encoder_layers=2,
    decoder_layers=3,
    heads=2,
    head_dim=10,
    hidden=32,
    buckets=Buckets(8, 12),
    activation="gelu_tanh",
    gated=True,
    eps=1e-6,
    tied=False,
    start=0,
)
SHALLOW = dataclasses.replace(SMALL, encoder_layers=1, decoder_layers=1)
TIED = dataclasses.replace(SMALL, activation="relu", gated=False, tied=True)


def tokens(config, source=150, target=140, seed=0):
    """Return source, mask and target: padding at both sides and a hole; farther than any bucket."""
    drawn = np.random.default_rng(seed)
    mask = np.ones((4, source), np.int64)
    mask[1, -5:] = mask[2, :4] = mask[3, 6:9] = 0
    ids = drawn.integers(0, config.vocab, mask.shape)
    return tuple(map(torch.from_numpy, (ids, mask, drawn.integers(0, config.vocab, (4, target)))))


def saved(folder, config, **more):
    """Write a folder as another writer might."""
    document = huggingface.write_config(config) | more
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    made = make_weights(config, 1, EncoderDecoderDesign())
    save_file(made, folder / "model.safetensors", metadata={"format": "pt"})
    return made


def with_exact_places(model):
    """Transformers rounds Marian's sines and cosines to float32, whatever the model's type is."""
    if model.config.model_type == "marian":
        for stack in (model.model.encoder, model.model.decoder):
            places = stack.embed_positions
            exact = sinusoids(*places.weight.shape)
            assert (places.weight - exact).abs().max() < 2**-24
            places.weight = torch.nn.Parameter(exact)
    return model


@contextlib.contextmanager
def norms_in_float64():
    """Transformers' norm computes its mean square in float32, whatever it is given."""
    from transformers.models.t5.modeling_t5 import T5LayerNorm  # noqa: PLC0415  # slow to import

    def forward(self, x):
        return (
            self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(T5LayerNorm, "forward", forward)
        yield


def loaded(folder, attention="eager"):
    transformers = pytest.importorskip("transformers")
    how = {"dtype": torch.float64, "attn_implementation": attention}
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, **how).double().eval()
    return with_exact_places(model)


@pytest.mark.parametrize("model", ENCODER_DECODERS.values(), ids=ENCODER_DECODERS)
def test_seeded_weights_are_the_same_bytes_everywhere(model):
    assert weights.digest(model.weights()) == model.digest


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_all_answers_equal_those_of_transformers(name, attention, tmp_path):
    pytest.importorskip("transformers")
    model = ENCODER_DECODERS[name]
    write_package(model, tmp_path)
    source, mask, target = tokens(model.config)
    encoded, logits = load_encoder_decoder(tmp_path, torch.float64)(source, mask, target)
    other = loaded(tmp_path, attention)
    with torch.no_grad(), norms_in_float64():
        found = other(input_ids=source, attention_mask=mask, decoder_input_ids=target)
    hidden = found.encoder_last_hidden_state
    assert (encoded - hidden)[mask.bool()].abs().max() < 1e-10
    assert (logits - found.logits).abs().max() < 1e-10


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_steps_with_a_cache_equal_those_of_transformers(name, tmp_path):
    pytest.importorskip("transformers")
    model = ENCODER_DECODERS[name]
    write_package(model, tmp_path)
    source, mask, target = tokens(model.config, 20, 12)
    own, other = load_encoder_decoder(tmp_path, torch.float64), loaded(tmp_path)
    cache = own.start(own.encode(source, mask), mask)
    kept = None
    with torch.no_grad(), norms_in_float64():
        encoded = other.get_encoder()(source, attention_mask=mask)
        for piece in target.split([5, 1, 1, 3, 1, 1], dim=1):
            logits, cache = own.step(piece, cache)
            found = other(
                encoder_outputs=encoded,
                attention_mask=mask,
                decoder_input_ids=piece,
                past_key_values=kept,
                use_cache=True,
            )
            kept = found.past_key_values
            assert (logits - found.logits).abs().max() < 1e-10


@pytest.mark.parametrize("config", [SMALL, TIED], ids=["untied", "tied"])
def test_steps_of_any_lengths_are_one_pass(config):
    own = build_encoder_decoder(config, make_weights(config, 1, EncoderDecoderDesign()))
    own = own.double()
    source, mask, target = tokens(config, 20, 40)
    at_once = own(source, mask, target)[1]
    cache = own.start(own.encode(source, mask), mask)
    steps = []
    for piece in target.split([1, 7, 1, 1, 30], dim=1):
        logits, cache = own.step(piece, cache)
        steps.append(logits)
    assert (torch.cat(steps, dim=1) - at_once).abs().max() < 1e-12


def test_rows_of_a_cache_are_picked_with_their_source():
    own = build_encoder_decoder(SMALL, make_weights(SMALL, 1, EncoderDecoderDesign())).double()
    source, mask, target = tokens(SMALL, 20, 8)
    rows = torch.tensor([2, 0, 2, 1, 3])
    cache = own.step(target[:, :5], own.start(own.encode(source, mask), mask))[1]
    logits = own.step(target[rows, 5:], cache.picked(rows))[0]
    at_once = own(source[rows], mask[rows], target[rows])[1]
    assert (logits - at_once[:, 5:]).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("tied", "units"), [(True, "relu"), (False, "gated-gelu"), (False, "gated-silu")]
)
def test_checkpoints_of_transformers_are_read_as_it_reads_them(tied, units, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(
        vocab_size=40,
        d_model=24,
        d_kv=10,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        feed_forward_proj=units,
        tie_word_embeddings=tied,
        decoder_start_token_id=0,
    )
    torch.manual_seed(0)
    model = transformers.T5ForConditionalGeneration(config).double().eval()
    if not tied:
        model.lm_head.weight = torch.nn.Parameter(torch.randn(40, 24, dtype=torch.float64))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(tmp_path)
    own = load_encoder_decoder(tmp_path, torch.float64)
    assert own.config.tied == tied
    source, mask, target = tokens(own.config)
    with torch.no_grad(), norms_in_float64():
        found = model(input_ids=source, attention_mask=mask, decoder_input_ids=target)
    assert (own(source, mask, target)[1] - found.logits).abs().max() < 1e-10


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("buckets", [Buckets(32, 128), Buckets(20, 60), Buckets(12, 96)])
def test_buckets_are_those_of_the_logarithm(buckets, causal):
    """The formula of the paper's code, at whose borders a logarithm may fall short."""

    def row(distance, rows):
        exact = rows // 2
        if distance < exact:
            return distance
        share = math.log(distance / exact) / math.log(buckets.max_distance / exact)
        return min(exact + math.floor(share * (rows - exact) + 1e-9), rows - 1)

    half = buckets.count // 2
    for ahead in range(-200, 201):
        found = int(bucket_of(torch.tensor(ahead), buckets, causal=causal))
        if causal:
            assert found == row(max(-ahead, 0), buckets.count), ahead
        else:
            assert found == half * (ahead > 0) + row(abs(ahead), half), ahead


def test_names_of_older_checkpoints_and_repeated_tensors_are_read(tmp_path):
    made = saved(tmp_path, TIED)
    file = tmp_path / "model.safetensors"
    stored = load_file(file)
    for repeated in (HEAD, "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
        stored[repeated] = stored[SHARED].copy()
    table = np.ones((8, 2), np.float32)
    stored["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = table
    save_file(stored, file)
    config, read = huggingface.open_folder(tmp_path)
    assert config == TIED
    assert list(read) == list(tensor_shapes(TIED))
    assert all(np.array_equal(read[name], array) for name, array in made.items())
    stored["encoder.embed_tokens.weight"] = 2 * stored[SHARED]
    save_file(stored, file)
    with pytest.raises(ConfigError, match="has to repeat"):
        huggingface.open_folder(tmp_path)


def test_what_t5_itself_leaves_unsaid_is_what_it_has():
    document = huggingface.write_config(dataclasses.replace(TIED, buckets=Buckets(32, 128)))
    for key in ("relative_attention_max_distance", "feed_forward_proj", "tie_word_embeddings"):
        del document[key]
    assert huggingface.read_config(document).buckets == Buckets(32, 128)
    assert huggingface.read_config(document).tied


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feed_forward_proj": "silu"}, "feed_forward_proj is 'silu'; only 'relu' or"),
        ({"is_gated_act": False}, "feed_forward_proj 'gated-gelu' makes it True"),
        ({"dense_act_fn": "relu"}, "makes it 'gelu_new'"),
        ({"scale_decoder_outputs": True}, "a head of its own is not scaled"),
        ({"is_encoder_decoder": False}, "is_encoder_decoder is False"),
        ({"model_type": "mt5"}, "model_type is 'mt5'"),
        ({"rotary": True}, "key 'rotary'"),
        ({"num_decoder_layers": None}, "num_decoder_layers is missing"),
        ({"decoder_start_token_id": 40}, "there are 40 tokens"),
        ({"d_ff": 31}, "config.json makes it"),
        ({"num_layers": 3}, "missing encoder.block.2"),
        ({"tie_word_embeddings": True}, "lm_head.weight differs from shared.weight"),
    ],
)
def test_what_is_not_understood_is_refused(change, message, tmp_path):
    saved(tmp_path, SMALL, **change)
    with pytest.raises(ConfigError, match=message):
        huggingface.open_folder(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 0}, "heads"),
        ({"eps": 0.0}, "eps"),
        ({"buckets": Buckets(10, 99)}, "multiple of 4"),
        ({"buckets": Buckets(8, 4)}, "more than 4"),
        ({"activation": "gelu"}, "relu, gelu_tanh, silu"),
        ({"start": 40}, "start is 40"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        validate(dataclasses.replace(SMALL, **change))


@pytest.mark.slow
def test_an_export_answers_what_torch_answers_and_is_the_same_bytes(tmp_path):
    import onnxruntime  # noqa: PLC0415  # slow to import

    from reference_model.encoder_decoder import export  # noqa: PLC0415  # the same

    saved(tmp_path, SHALLOW)
    files = [tmp_path / "model.onnx", tmp_path / "again.onnx"]
    for file in files:
        export.write_onnx(tmp_path, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    session = onnxruntime.InferenceSession(str(files[0]))
    assert [one.name for one in session.get_inputs()] == list(export.INPUTS)
    assert [one.name for one in session.get_outputs()] == list(export.OUTPUTS)
    for source, target in ((150, 140), (3, 1)):
        given = tokens(SHALLOW, source, target)
        feed = {n: x.numpy() for n, x in zip(export.INPUTS, given, strict=True)}
        exact = load_encoder_decoder(tmp_path)(*given)
        for found, part in zip(session.run(None, feed), exact, strict=True):
            # 84 roundings of the largest number: both add up in orders of their own.
            assert np.abs(found - part.numpy()).max() < 1e-5 * part.abs().max()


@pytest.mark.slow
def test_exported_steps_answer_what_torch_answers(tmp_path):
    import onnxruntime  # noqa: PLC0415  # slow to import

    from reference_model.encoder_decoder import export  # noqa: PLC0415  # the same

    saved(tmp_path, SHALLOW)
    own, sessions = load_encoder_decoder(tmp_path), []
    for name in ("encoder_model.onnx", "decoder_with_past_model.onnx"):
        export.write_onnx(tmp_path, tmp_path / name)
        sessions.append(onnxruntime.InferenceSession(str(tmp_path / name)))
    source, mask, target = tokens(SHALLOW, 20, 12)
    feed = {"input_ids": source.numpy(), "attention_mask": mask.numpy()}
    encoded, *read = sessions[0].run(None, feed)
    assert np.abs(encoded - own.encode(source, mask).numpy()).max() < 1e-5 * encoded.max()
    names = [one.name for one in sessions[1].get_inputs()]
    kept = [np.zeros((4, SHALLOW.heads, 0, SHALLOW.head_dim), np.float32)] * len(read)
    cache = own.start(own.encode(source, mask), mask)
    for piece in target.split([5, 1, 6], dim=1):
        exact, cache = own.step(piece, cache)
        given = [piece.numpy(), mask.numpy(), *kept, *read]
        logits, *kept = sessions[1].run(None, dict(zip(names, given, strict=True)))
        assert np.abs(logits - exact.numpy()).max() < 1e-5 * exact.abs().max()
