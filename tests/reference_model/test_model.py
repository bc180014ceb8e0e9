from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from conformance import spec
from reference_model import filling, mlp, norms, rotary
from reference_model import model as m
from reference_model.config import Linear, Llama3, Rope
from reference_model.layout import tensor_shapes
from reference_model.package import write_package
from reference_model.weights import make_weights
from reference_model.zoo import MODELS

TOKENS = 12


def decoder_of(config, dtype=torch.float64):
    return m.build_decoder(config, make_weights(config, 5), dtype)


def call(decoder, tokens_BT, mask_BS=None, cache=None, *, taps=False):
    mask_BS = torch.ones_like(tokens_BT) if mask_BS is None else mask_BS
    position_BS = (mask_BS.cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode():
        return decoder(tokens_BT, mask_BS, position_BS[:, -tokens_BT.shape[1] :], cache, taps)


@pytest.fixture
def tokens(variant):
    return torch.from_numpy(np.random.default_rng(3).integers(0, variant.vocab, (2, TOKENS)))


def test_parameters_have_the_canonical_names_and_shapes(variant):
    parameters = {n: tuple(p.shape) for n, p in m.Decoder(variant).named_parameters()}
    assert parameters == tensor_shapes(variant)


def test_each_convention_is_a_comment_with_the_id_of_its_requirement():
    files = (Path(module.__file__) for module in (m, mlp, norms))
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    named = re.findall(r"# ((?:[A-Z]+-[0-9]{3}, )*[A-Z]+-[0-9]{3}):", source)
    ids = {one for comment in named for one in comment.split(", ")}
    assert ids <= set(spec.load().requirements)
    topics = {one.partition("-")[0] for one in ids}
    assert topics == {"ATTN", "CACHE", "EMBED", "LOGITS", "MLP", "NORM", "PACK", "ROPE", "SOFTMAX"}


def test_nothing_but_parameters_is_stored(variant):
    assert not list(m.Decoder(variant).buffers())


def test_no_weights_are_drawn_where_some_are_given(small):
    before = torch.get_rng_state()
    m.build_decoder(small, make_weights(small, 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_decoder_needs_exactly_its_tensors(small):
    weights = make_weights(small, 1)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        m.build_decoder(small, weights | {"extra": weights["lm_head.weight"]})
    del weights["lm_head.weight"]
    with pytest.raises(RuntimeError, match="Missing key"):
        m.build_decoder(small, weights)


def test_a_contradictory_config_makes_no_decoder(small):
    with pytest.raises(ValueError, match="vocab is 0"):
        m.Decoder(dataclasses.replace(small, vocab=0))


def test_future_tokens_do_not_change_past_logits(variant, tokens):
    decoder = decoder_of(variant)
    changed = tokens.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % variant.vocab
    one, two = call(decoder, tokens).logits_BTV, call(decoder, changed).logits_BTV
    assert torch.equal(one[:, :7], two[:, :7])
    assert not torch.allclose(one[:, 7:], two[:, 7:])


@pytest.mark.parametrize("chunks", [[1] * TOKENS, [5, 7], [TOKENS - 1, 1], [3, 1, 1, 7]])
def test_a_cache_changes_nothing(variant, tokens, chunks):
    decoder = decoder_of(variant)
    whole = call(decoder, tokens)
    cache, parts, end = None, [], 0
    for size in chunks:
        start, end = end, end + size
        output = call(decoder, tokens[:, start:end], torch.ones_like(tokens[:, :end]), cache)
        cache = output.cache
        parts.append(output.logits_BTV)
    torch.testing.assert_close(torch.cat(parts, 1), whole.logits_BTV, rtol=0, atol=1e-12)
    for kept, expected in zip(cache, whole.cache, strict=True):
        torch.testing.assert_close(kept, expected, rtol=0, atol=1e-12)


def test_a_cache_is_a_value(small, tokens):
    decoder = decoder_of(small)
    tokens = tokens % small.vocab
    first = call(decoder, tokens[:, :4])
    before = [tensor.clone() for layer in first.cache for tensor in layer]
    mask = torch.ones_like(tokens[:, :6])
    one = call(decoder, tokens[:, 4:6], mask, first.cache).logits_BTV
    two = call(decoder, tokens[:, 4:6], mask, first.cache).logits_BTV
    assert torch.equal(one, two)
    assert all(map(torch.equal, before, [tensor for layer in first.cache for tensor in layer]))


@pytest.mark.parametrize("pad", [1, 5])
def test_left_padding_changes_nothing(variant, tokens, pad):
    decoder = decoder_of(variant)
    mask = torch.cat((torch.zeros(2, pad, dtype=torch.int64), torch.ones_like(tokens)), 1)
    logits = [
        call(decoder, torch.cat((torch.full((2, pad), token), tokens), 1), mask).logits_BTV
        for token in (0, variant.vocab - 1)
    ]
    assert torch.equal(logits[0][:, pad:], logits[1][:, pad:])
    assert all(torch.isfinite(one).all() for one in logits)
    plain = call(decoder, tokens).logits_BTV
    torch.testing.assert_close(logits[0][:, pad:], plain, rtol=0, atol=1e-12)


def test_only_relative_positions_matter(variant, tokens):
    """From position 40 on, where LongRoPE has switched to the frequencies of long contexts."""
    decoder = decoder_of(variant)
    mask, position = torch.ones_like(tokens), 40 + torch.arange(TOKENS).expand(2, TOKENS)
    with torch.inference_mode():
        near = decoder(tokens, mask, position).logits_BTV
        far = decoder(tokens, mask, position + 100).logits_BTV
        spread = decoder(tokens, mask, 2 * position - 40).logits_BTV
    if variant.learned_positions:
        assert not torch.allclose(far, near, atol=1e-2)
    else:
        torch.testing.assert_close(far, near, rtol=0, atol=1e-10)
    if variant.attention.alibi:  # distances are those of the row's tokens
        assert torch.equal(spread, near)
        return
    assert not torch.allclose(spread, near, atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_output_has_the_models_type(small, dtype):
    output = call(decoder_of(small, dtype), torch.arange(6).view(1, 6), taps=True)
    tensors = [output.logits_BTV, *output.taps.values(), *(t for kv in output.cache for t in kv)]
    assert {tensor.dtype for tensor in tensors} == {dtype}


def test_double_makes_every_step_float64(variant, tokens, monkeypatch):
    """A step in float32 anywhere would leave an error of 1e-8 or more."""
    made, later = decoder_of(variant), decoder_of(variant, torch.float32).double()
    expected = call(made, tokens).logits_BTV
    assert torch.equal(call(later, tokens).logits_BTV, expected)
    narrowed = []
    to = torch.Tensor.to
    monkeypatch.setattr(
        torch.Tensor, "to", lambda x, *a: narrowed.append(to(x, *a).dtype) or to(x, *a)
    )
    call(made, tokens)
    assert set(narrowed) - {torch.int64} == {torch.float64}, "counts of keys are whole"


def test_the_narrower_the_type_the_larger_the_error(small):
    tokens_BT = torch.arange(30).view(1, 30)
    expected = call(decoder_of(small), tokens_BT).logits_BTV
    types = (torch.float32, torch.float16, torch.bfloat16)
    errors = [
        (call(decoder_of(small, dtype), tokens_BT).logits_BTV.double() - expected).std().item()
        for dtype in types
    ]
    assert errors[0] < 1e-5 < errors[1] < errors[2] < 0.5


def test_taps_are_the_residual_streams_parts(small):
    output = call(decoder_of(small), torch.arange(6).view(1, 6), taps=True)
    x_BTD = output.taps["embedding"]
    for i in range(small.layers):
        x_BTD = x_BTD + output.taps[f"layer.{i}.attention"] + output.taps[f"layer.{i}.mlp"]
        assert torch.equal(output.taps[f"layer.{i}"], x_BTD)
    assert len(output.taps) == 2 + 3 * small.layers
    assert call(decoder_of(small), torch.arange(6).view(1, 6)).taps == {}


def test_frequencies_fall_from_one_by_equal_factors():
    assert rotary.inverse_frequencies(Rope(10000.0), 8) == pytest.approx((1.0, 0.1, 0.01, 0.001))
    linear = rotary.inverse_frequencies(Rope(10000.0, Linear(4.0)), 8)
    assert linear == pytest.approx((0.25, 0.025, 0.0025, 0.00025))


@pytest.mark.parametrize(
    ("wavelength", "factor"), [(4, 1), (8, 1), (16, 1 / 3 + 2 / 3 / 8), (32, 1 / 8), (99, 1 / 8)]
)
def test_llama3_scaling_keeps_short_waves_and_stretches_long_ones(wavelength, factor):
    frequency = 2 * math.pi / wavelength
    scaled = rotary.scaled_frequency(frequency, Llama3(8.0, 1.0, 4.0, 32))
    assert scaled == pytest.approx(factor * frequency, rel=1e-12)


def test_rotation_turns_half_pairs_by_plus_the_angle():
    turning = rotary.Rotary(Rope(10000.0), 4)
    phases = turning.phases(torch.tensor([[3]]), torch.float64)
    turned = turning(
        torch.tensor([1.0, 0.0, 0.0, 2.0], dtype=torch.float64).view(1, 1, 1, 4), phases
    )
    expected = [math.cos(3), -2 * math.sin(0.03), math.sin(3), 2 * math.cos(0.03)]
    assert turned.flatten().tolist() == pytest.approx(expected, rel=1e-12)


def test_bfloat16_positions_stay_apart():
    cos, _ = rotary.Rotary(Rope(10000.0), 4).phases(torch.tensor([[256, 257]]), torch.bfloat16)
    assert cos.dtype == torch.float32
    assert cos[0, 0, 0, 0] != cos[0, 0, 1, 0]


def test_a_package_loads_as_the_model_that_it_was_made_of(tmp_path):
    model = MODELS["llama-mqa-tied"]
    write_package(model, tmp_path)
    loaded, made = m.load_decoder(tmp_path), m.build_decoder(model.config, model.weights())
    assert loaded.config == model.config
    assert all(map(torch.equal, loaded.parameters(), made.parameters()))


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_arrays_become_tensors_of_the_same_type_and_bits(name):
    expected = torch.tensor([1.0, -2.5, 3e-5], dtype=getattr(torch, name))
    import ml_dtypes  # noqa: F401, PLC0415  # registers bfloat16 with NumPy

    array = expected.double().numpy().astype(np.dtype(name))
    assert torch.equal(filling.to_torch(array), expected)
