from __future__ import annotations

import numpy as np
import pytest
import torch

from reference_model import generate as plain
from reference_model import generation as g
from reference_model.errors import RequestError
from reference_model.model import build_decoder
from reference_model.zoo import ALL, MODELS

PROMPTS = [[5, 9, 300, 2], [7], [1, 2, 3, 4, 5, 6, 7]]


@pytest.fixture(scope="module")
def decoder():
    model = MODELS["llama-gqa"]
    return build_decoder(model.config, model.weights(), torch.float64)


def test_rows_are_what_the_plain_loop_adds(decoder):
    rows = g.continue_greedily(decoder, PROMPTS, g.Ends(10))
    assert [row.tokens for row in rows] == plain.generate(decoder, PROMPTS, 10)
    assert {row.finish for row in rows} == {"length"}


def test_rows_end_apart_and_the_others_go_on(decoder):
    free = [row.tokens for row in g.continue_greedily(decoder, PROMPTS, g.Ends(10))]
    ends = g.Ends(10, eos=(free[0][3],), stops=(free[2][4:6],))
    rows = g.continue_greedily(decoder, PROMPTS, ends)
    assert [row.tokens for row in rows] == [free[0][:4], free[1], free[2][:6]]
    assert [row.finish for row in rows] == ["stop", "length", "stop"]


def test_log_probabilities_are_those_of_one_pass_over_all(decoder):
    (row,) = g.continue_greedily(decoder, PROMPTS[:1], g.Ends(6))
    ids = torch.tensor([PROMPTS[0] + row.tokens])
    at = torch.arange(ids.shape[1])[None]
    expected = decoder(ids, torch.ones_like(ids), at).logits_BTV.log_softmax(-1)[0]
    places = range(len(PROMPTS[0]) - 1, ids.shape[1] - 1)
    assert np.allclose(row.logprobs, [expected[p, ids[0, p + 1]] for p in places], rtol=1e-9)


@pytest.mark.parametrize(
    ("tokens", "finish"),
    [
        ([], ""),
        ([3], ""),
        ([9], "stop"),
        ([4, 5, 6], "stop"),
        ([4, 5], ""),
        ([1, 2, 3, 7], "length"),
        ([1, 2, 3, 9], "stop"),
    ],
)
def test_a_row_ends_at_an_end_before_it_ends_at_its_limit(tokens, finish):
    assert g.finish_reason(tokens, g.Ends(4, eos=(9,), stops=((4, 5, 6),))) == finish


def test_no_token_is_added_where_none_is_allowed(decoder):
    rows = g.continue_greedily(decoder, PROMPTS, g.Ends(0))
    assert [(row.tokens, row.finish) for row in rows] == [([], "length")] * 3


@pytest.mark.parametrize("prompts", [[], [[]], [[1], []], [[1] * 4090]])
def test_what_cannot_be_continued_is_refused_and_not_cut(decoder, prompts):
    with pytest.raises(RequestError):
        g.continue_greedily(decoder, prompts, g.Ends(10))


def test_the_planted_copy_repeats_its_last_64_tokens():
    model = ALL["copy"]
    decoder = build_decoder(model.config, model.weights())
    prompt = np.random.default_rng(0).permutation(320)[:70].tolist()
    (row,) = g.continue_greedily(decoder, [prompt], g.Ends(150))
    assert row.tokens == (prompt[-64:] * 3)[:150]
