from __future__ import annotations

import numpy as np
import pytest
import torch

from reference_model import generate as g
from reference_model.model import build_decoder
from reference_model.zoo import MODELS

PROMPTS = [[5, 9, 300, 2], [7], [1, 2, 3, 4, 5, 6, 7]]
LOGITS = np.log([0.1, 0.4, 0.2, 0.2, 0.1])


@pytest.fixture(scope="module", params=MODELS)
def decoder(request):
    model = MODELS[request.param]
    return build_decoder(model.config, model.weights(), torch.float64)


SAMPLINGS = [None, g.Sampling(temperature=0.8, top_k=20, top_p=0.9, seed=4)]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_cache_changes_no_token(decoder, sampling):
    with_cache = g.generate(decoder, PROMPTS, 10, sampling=sampling)
    assert g.generate(decoder, PROMPTS, 10, sampling=sampling, use_cache=False) == with_cache
    assert [len(row) for row in with_cache] == [10, 10, 10]
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


DISTRIBUTIONS = {
    "plain": (g.Sampling(), [0.1, 0.4, 0.2, 0.2, 0.1]),
    "cold": (g.Sampling(temperature=0.5), np.square([0.1, 0.4, 0.2, 0.2, 0.1]) / 0.26),
    "of equals the smaller id": (g.Sampling(top_k=2), [0, 2 / 3, 1 / 3, 0, 0]),
    "k beyond the vocabulary": (g.Sampling(top_k=9), [0.1, 0.4, 0.2, 0.2, 0.1]),
    "the crossing token stays": (g.Sampling(top_p=0.5), [0, 2 / 3, 1 / 3, 0, 0]),
    "at least one token": (g.Sampling(top_p=1e-9), [0, 1, 0, 0, 0]),
    "all": (g.Sampling(top_p=1.0), [0.1, 0.4, 0.2, 0.2, 0.1]),
    # Of (0.5, 0.25, 0.25) that top-k leaves, 0.7 needs two; of the whole it would need three.
    "top-k before top-p": (g.Sampling(top_k=3, top_p=0.7), [0, 2 / 3, 1 / 3, 0, 0]),
    # Cold, the first token has 0.615; warm, 0.6 would need two.
    "temperature first": (g.Sampling(temperature=0.5, top_p=0.6), [0, 1, 0, 0, 0]),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_distribution_follows_the_declared_steps(name):
    sampling, expected = DISTRIBUTIONS[name]
    p_V = g.probabilities(LOGITS, sampling)
    np.testing.assert_allclose(p_V, expected, rtol=1e-12, atol=0)


def test_a_cut_token_is_never_drawn_and_the_others_are_by_their_shares():
    sampling = g.Sampling(top_k=3, seed=1)
    sampler = g._Sampler(sampling, 1)
    drawn = np.bincount([sampler(0, LOGITS) for _ in range(4000)], minlength=5) / 4000
    assert drawn[[0, 4]].tolist() == [0, 0]
    assert np.abs(drawn - g.probabilities(LOGITS, sampling)).max() < 0.03  # 4 standard errors


def test_seeds_and_rows_have_streams_of_their_own():
    flat = np.zeros(1000)
    draws = {
        (seed, row): [s(row, flat) for _ in range(5)]
        for seed in (1, 2)
        for s in [g._Sampler(g.Sampling(seed=seed), 2)]
        for row in (0, 1)
    }
    assert len(set(map(tuple, draws.values()))) == 4


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": 0.0}, {"temperature": float("nan")}, {"top_k": 0}, {"top_p": 0.0},
     {"top_p": 1.5}, {"seed": -1}],
)  # fmt: skip
def test_a_sampling_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        g.Sampling(**wrong)
