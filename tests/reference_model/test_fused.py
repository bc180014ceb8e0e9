"""The forward that is exported to newer opsets, held against the decoder that is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reference_model.answers import LayerCache
from reference_model.fused import FusedDecoder, visible_keys
from reference_model.model import allowed_keys, build_decoder
from reference_model.weights import Design, make_weights

FP64 = 1e-12
"""Of the largest logit: a thousand roundings."""


def decoder_of(config, dtype):
    return build_decoder(config, make_weights(config, 5, Design()), dtype)


def tokens_of(config, pad):
    ids = torch.from_numpy(np.random.default_rng(8).integers(0, config.vocab, (3, 20)))
    mask = torch.ones_like(ids)
    mask[-1, :pad] = 0
    return ids, mask, (mask.cumsum(-1) - 1).clamp(0)


def nothing(config, dtype, batch=3):
    shape = config.attention
    empty = torch.zeros(batch, shape.kv_heads, 0, shape.head_dim, dtype=dtype)
    return (LayerCache(empty, empty),) * config.layers


@pytest.mark.parametrize("pad", [0, 7])
def test_in_float64_it_is_the_decoder(variant, pad):
    decoder = decoder_of(variant, torch.float64)
    ids, mask, positions = tokens_of(variant, pad)
    wanted = decoder(ids, mask, positions)
    observed = FusedDecoder(decoder)(ids, mask, positions, nothing(variant, torch.float64))
    real = mask == 1
    error = (observed.logits_BTV - wanted.logits_BTV)[real].abs().max()
    assert error <= FP64 * wanted.logits_BTV.abs().max()
    for mine, other in zip(observed.cache, wanted.cache, strict=True):
        shown = real[:, None, :, None]
        torch.testing.assert_close(mine.k_BGSK * shown, other.k_BGSK * shown, rtol=0, atol=1e-11)


def test_in_float32_it_errs_as_the_decoder_does(variant):
    exact, single = decoder_of(variant, torch.float64), decoder_of(variant, torch.float32)
    inputs = tokens_of(variant, 0)
    truth = exact(*inputs).logits_BTV

    def error(logits_BTV):
        return (logits_BTV.double() - truth).square().mean().sqrt()

    fused = FusedDecoder(single)(*inputs, nothing(variant, torch.float32)).logits_BTV
    assert 0.5 < error(fused) / error(single(*inputs).logits_BTV) < 2


def test_it_goes_on_from_a_cache(small):
    decoder = decoder_of(small, torch.float64)
    ids, mask, positions = tokens_of(small, 6)
    fused, cache, parts, end = FusedDecoder(decoder), nothing(small, torch.float64), [], 0
    for size in (3, 1, 9, 7):
        start, end = end, end + size
        output = fused(ids[:, start:end], mask[:, :end], positions[:, start:end], cache)
        cache = output.cache
        parts.append(output.logits_BTV)
    wanted = decoder(ids, mask, positions).logits_BTV
    error = (torch.cat(parts, 1) - wanted)[mask == 1].abs().max()
    assert error <= FP64 * wanted.abs().max()


def test_every_token_sees_itself_and_real_ones_see_what_the_decoder_allows():
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    visible, allowed = visible_keys(mask, 3), allowed_keys(mask, 3)
    assert visible.any(-1).all()
    real = mask[:, 1:] == 1
    assert torch.equal(visible[:, 0][real], allowed[:, 0][real])
    assert not allowed[0, 0, 0].any()
    assert visible[0, 0, 0].tolist() == [False, True, False, False]
