from __future__ import annotations

import numpy as np
import pytest

from conformance import spec
from conformance.oracles.generation import choices, ending, forced, wrong_endings
from conformance.records import Continuation, GenerationRequest

FP32 = spec.load().contracts["fp32"]
REQUEST = GenerationRequest(((1, 2), (3,)), 4, eos_ids=(9, 8), stop_sequences=((5, 6), (7,)))


def test_each_added_token_is_told_by_the_place_before_it():
    found = [Continuation((4, 5, 6), "length"), Continuation((7,), "stop")]
    batch = forced([(1, 2), (3,)], found)
    assert batch.ids_BT.tolist() == [[1, 2, 4, 5], [3, 0, 0, 0]]
    assert batch.mask_BT.tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]
    assert batch.places == ((0, 1, 4), (0, 2, 5), (0, 3, 6), (1, 0, 7))


def test_choices_tell_gap_margin_and_log_probability():
    batch = forced([(0,)], [Continuation((2, 1), "length")])
    exact_BTV = np.log([[[0.5, 0.2, 0.3], [0.1, 0.7, 0.2]]])
    told = choices(batch, exact_BTV, FP32)
    assert np.allclose(told.gap_N, [np.log(0.5 / 0.3), 0])
    assert np.allclose(told.margin_N, [np.log(0.5 / 0.3), np.log(0.7 / 0.2)])
    assert np.allclose(told.logprob_N, np.log([0.3, 0.7]))
    assert (told.bound_N > 0).all()


def test_choices_of_no_token_are_empty():
    batch = forced([(0,)], [Continuation((), "length")])
    assert choices(batch, np.zeros((1, 1, 3)), FP32).gap_N.shape == (0,)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ((), ""),
        ((1, 2, 3), ""),
        ((1, 2, 3, 4), "length"),
        ((1, 8), "stop"),
        ((9,), "stop"),
        ((5, 6), "stop"),
        ((6,), ""),
        ((7,), "stop"),
        ((1, 2, 5, 6), "stop"),
    ],
)
def test_a_row_ends_by_what_was_added(tokens, expected):
    assert ending(tokens, REQUEST) == expected


def test_a_stop_sequence_may_be_seen_to_begin_in_the_prompt():
    request = GenerationRequest(((5,),), 4, stop_sequences=((5, 6),))
    for found in (Continuation((6,), "stop"), Continuation((6, 1, 1, 1), "length")):
        assert not list(wrong_endings(request, [found]))


@pytest.mark.parametrize(
    "row",
    [
        Continuation((1, 2, 3), "length"),  # too few
        Continuation((1, 2, 3, 4, 5), "length"),  # too many
        Continuation((1, 9), "length"),  # another reason
        Continuation((1, 2, 3, 4), "stop"),  # the same
        Continuation((9, 1, 2, 3), "length"),  # gone on
        Continuation((5, 6, 0, 0), "stop"),  # the same
        Continuation((1, 5), "stop"),  # its end is dropped
    ],
)
def test_a_row_that_ends_otherwise_is_told(row):
    right = Continuation((8,), "stop")
    assert len(list(wrong_endings(REQUEST, [row, right]))) == 1
    assert len(list(wrong_endings(REQUEST, [right, row]))) == 1
