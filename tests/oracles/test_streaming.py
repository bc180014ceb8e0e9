"""The oracle on weights that lie in a file: it holds some of the rows, never a model."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from conformance.oracles import decoder as decoder_module
from conformance.oracles.architecture import Architecture
from conformance.oracles.arithmetic import honest
from conformance.oracles.corpus import corpus
from conformance.oracles.decoder import Decoder, weight_shapes
from conformance.oracles.ensemble import members, noise
from conformance.oracles.rope import Rope
from contracts import contract

SHAPE = Architecture(
    256, 128, 2, 4, 2, 32, 512, 1e-5, tied=False, rope=Rope(1e4), max_positions=512
)
CORPUS = corpus(SHAPE.vocab, SHAPE.max_positions)
FP32 = contract("float32")
WIDE = 8
"""Bytes of a number of the oracle's."""


class Stored(Mapping):
    """Weights that are made anew when they are asked for, as if read from a file, and counted."""

    def __init__(self, shape):
        self.shapes, self.asked = weight_shapes(shape), Counter()

    def __getitem__(self, name):
        self.asked[name] += 1
        generator = np.random.Generator(np.random.Philox(key=[7, list(self.shapes).index(name)]))
        drawn = generator.standard_normal(self.shapes[name], dtype=np.float32) / 8
        return (drawn + (drawn.ndim == 1)).astype(ml_dtypes.bfloat16)

    def __contains__(self, name):
        return name in self.shapes

    def __iter__(self):
        return iter(self.shapes)

    def __len__(self):
        return len(self.shapes)


def peak(work):
    """Return what some work allocates at most, in bytes, beside what was there before."""
    gc.collect()
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def size(shape):
    return WIDE * sum(int(np.prod(one)) for one in weight_shapes(shape).values())


def answers(shape, weights=None):
    weights = Stored(shape) if weights is None else weights
    return lambda: Decoder(shape, weights).logits(*CORPUS.inputs)


def units(shape):
    return lambda: noise(Decoder(shape, Stored(shape)), CORPUS, FP32)


@pytest.mark.parametrize("work", [answers, units])
def test_a_deeper_model_takes_more_memory_for_its_streams_alone(work, monkeypatch):
    monkeypatch.setattr(decoder_module, "ROWS", 1 << 14)
    deep = replace(SHAPE, layers=4 * SHAPE.layers)
    more = peak(work(deep)) - peak(work(SHAPE))
    assert more < (size(deep) - size(SHAPE)) / 4


def test_the_meter_sees_a_model_that_is_held_whole():
    deep = replace(SHAPE, layers=6)

    def whole():
        held = {name: weight.astype(np.float64) for name, weight in Stored(deep).items()}
        answers(deep, held)()

    assert peak(whole) - peak(answers(deep)) > 0.8 * size(deep)


def test_a_weight_is_read_once_for_all_tokens_and_by_each_member_once():
    stored = Stored(SHAPE)
    truth = Decoder(SHAPE, stored)
    stored.asked.clear()
    truth.logits(*CORPUS.inputs)
    assert set(stored.asked.values()) == {1}
    exact = truth.outputs(*CORPUS.inputs)
    stored.asked.clear()
    noise(truth, CORPUS, FP32, exact=exact)
    shapes_and_passes = 2 * len(honest(FP32))  # a decoder looks at the shape of each once
    assert set(stored.asked.values()) == {shapes_and_passes}


def test_no_weight_is_held_while_a_layer_is_awaited():
    class Seen(Stored):
        def __getitem__(self, name):
            weight = super().__getitem__(name)
            lent.append(weakref.ref(weight))
            return weight

    lent = []
    for _ in Decoder(SHAPE, Seen(SHAPE)).layers(*CORPUS.inputs):
        assert lent
        assert not [one for one in lent if one() is not None]


@pytest.mark.parametrize("rows", [1, 3000, 1 << 14])
def test_the_rows_that_are_converted_at_a_time_change_nothing_but_the_last_bits(rows, monkeypatch):
    whole = answers(SHAPE)()
    monkeypatch.setattr(decoder_module, "ROWS", rows)
    parts = answers(SHAPE)()
    assert np.abs(parts - whole).max() < 1e-13 * np.abs(whole).max()


def test_a_member_reads_the_same_rows_a_few_at_a_time_as_whole():
    stored = Stored(SHAPE)
    (member,) = members(SHAPE, stored, 1, seed=3)
    for name, shape in weight_shapes(SHAPE).items():
        whole = np.asarray(member[name])
        assert whole.shape == shape == member[name].shape
        if len(shape) == 2:
            parts = [member[name][at : at + 50] for at in range(0, shape[0], 50)]
            assert np.array_equal(np.concatenate(parts), whole)
            assert np.array_equal(member[name][np.array([[5, 2]])], whole[[[5, 2]]])
        assert np.array_equal(np.sort(whole, axis=None), np.sort(stored[name], axis=None))


def test_what_the_truth_answers_may_be_given_to_the_noise():
    truth = Decoder(SHAPE, Stored(SHAPE))
    given = noise(truth, CORPUS, FP32, exact=truth.outputs(*CORPUS.inputs))
    assert given == noise(truth, CORPUS, FP32)
