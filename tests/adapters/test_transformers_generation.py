"""Where a row of Transformers' own generation ends, and what of it is padding."""

from __future__ import annotations

import pytest

from conformance.adapters import _transformers_generation as own
from conformance.records import GenerationRequest

PAD = 0
SCORES = [-0.5, -0.25, -0.125]


def row(prompt, tokens, **asked):
    request = GenerationRequest((tuple(prompt),), 3, **asked)
    found = own._continuation(prompt, tokens, SCORES, request, PAD)
    return found.tokens, found.finish, found.logprobs


def test_padding_behind_an_end_is_no_part_of_the_row():
    found = row([9], [7, 4, PAD], eos_ids=(4,), logprobs=True)
    assert found == ((7, 4), "stop", (-0.5, -0.25))


def test_a_stop_sequence_may_begin_in_the_prompt():
    assert row([9, 5], [5, PAD, PAD], stop_sequences=((5, 5),))[:2] == ((5,), "stop")


def test_a_full_row_keeps_tokens_that_look_like_padding():
    assert row([9], [7, PAD, PAD], eos_ids=(4,))[:2] == ((7, PAD, PAD), "length")


@pytest.mark.parametrize("ends", [{"eos_ids": (0,)}, {"stop_sequences": ((3, 0), (2, 1))}])
def test_no_token_that_ends_a_row_pads(ends):
    request = GenerationRequest(((1,),), 3, **ends)
    last = {*request.eos_ids, *(stop[-1] for stop in request.stop_sequences)}
    assert own._padding(request) not in last
