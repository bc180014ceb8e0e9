from __future__ import annotations

import numpy as np
import pytest
import torch

from reference_model import generate as g
from reference_model.model import build_decoder
from reference_model.sampling import Sampling
from reference_model.zoo import MODELS

PROMPTS = [[5, 9, 300, 2], [7], [1, 2, 3, 4, 5, 6, 7]]
_RNG = np.random.default_rng(5)
MORE = [_RNG.integers(0, 301, 1 + i % 7).tolist() for i in range(16)]
"""Some models soon repeat themselves, whatever they are asked."""


@pytest.fixture(scope="module", params=[n for n, m in MODELS.items() if m.config.vocab > 300])
def decoder(request):
    model = MODELS[request.param]
    return build_decoder(model.config, model.weights(), torch.float64)


SAMPLINGS = [None, Sampling(temperature=0.8, top_k=20, top_p=0.9, seed=4)]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_cache_changes_no_token(decoder, sampling):
    prompts = [*PROMPTS, *MORE]
    with_cache = g.generate(decoder, prompts, 10, sampling=sampling)
    assert g.generate(decoder, prompts, 10, sampling=sampling, use_cache=False) == with_cache
    assert [len(row) for row in with_cache] == [10] * len(prompts)
    assert len({token for row in with_cache for token in row}) > 10


def test_a_row_is_generated_as_if_it_were_alone(decoder):
    together = g.generate(decoder, PROMPTS, 8, pad=11)
    assert together == [g.generate(decoder, [prompt], 8)[0] for prompt in PROMPTS]


def test_greedy_tokens_are_the_largest_logits_of_the_whole_text(decoder):
    added = g.generate(decoder, [PROMPTS[0]], 6)[0]
    text = torch.tensor([PROMPTS[0] + added])
    position = torch.arange(text.shape[1]).view(1, -1)
    logits = decoder(text, torch.ones_like(text), position).logits_BTV[0]
    assert logits.argmax(-1)[len(PROMPTS[0]) - 1 : -1].tolist() == added


def test_rows_end_with_their_own_eos(decoder):
    free = g.generate(decoder, PROMPTS, 8)
    eos = free[1][3]
    stopped = g.generate(decoder, PROMPTS, 8, eos=eos)
    assert stopped == [row[: row.index(eos) + 1] if eos in row else row for row in free]


def test_no_new_tokens_are_none(decoder):
    assert g.generate(decoder, PROMPTS, 0) == [[], [], []]


@pytest.mark.parametrize("prompts", [[], [[]], [[1], []]])
def test_an_empty_prompt_is_refused(decoder, prompts):
    with pytest.raises(ValueError, match="at least one token"):
        g.generate(decoder, prompts, 3)


def test_padding_is_left_and_masked():
    ids, mask = g.left_pad([[5, 6, 7], [8]], pad=9)
    assert ids.tolist() == [[5, 6, 7], [9, 9, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert g.positions(mask).tolist() == [[0, 1, 2], [0, 0, 0]]
