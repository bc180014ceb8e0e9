"""The decoder, its ensemble and the noise unit, on a small model made here."""

from __future__ import annotations

import hashlib
import tracemalloc
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from conformance.errors import PackageError
from conformance.oracles import decoder as decoder_module
from conformance.oracles.architecture import Architecture
from conformance.oracles.arithmetic import PLACES, Arithmetic, honest
from conformance.oracles.corpus import (
    TEXT,
    TOKENS,
    corpus,
    default_positions,
    far_corpus,
    long_corpus,
    prompt_with_steps,
    telling_places,
    text_corpus,
)
from conformance.oracles.decoder import Decoder, weight_shapes
from conformance.oracles.ensemble import honest_members, members, noise, unit_at
from conformance.oracles.rope import Rope
from contracts import contract

SMALL = Architecture(96, 32, 2, 4, 2, 8, 40, 1e-5, tied=False, rope=Rope(1e4), max_positions=512)


FP32 = contract("float32")
BF16 = contract("bfloat16")


def make_weights(architecture, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: (
            rng.uniform(0.5, 2, size=shape) if len(shape) == 1 else rng.normal(size=shape) / 4
        ).astype(np.float32)
        for name, shape in weight_shapes(architecture).items()
    }


WEIGHTS = make_weights(SMALL)
CORPUS = corpus(SMALL.vocab, SMALL.max_positions)
INPUTS = (CORPUS.input_ids_BT, CORPUS.attention_mask_BT, CORPUS.position_ids_BT)
JUDGED = CORPUS.attention_mask_BT != 0
TRUTH = Decoder(SMALL, WEIGHTS)
LOGITS = TRUTH.logits(*INPUTS)


def relative(logits, truth=LOGITS):
    return np.abs(logits.astype(np.float64) - truth)[JUDGED].max() / np.abs(truth).max()


def rms(logits):
    return float(np.sqrt(np.mean((logits.astype(np.float64) - LOGITS)[JUDGED] ** 2)))


def test_every_output_is_finite_and_of_the_output_type():
    for way in (Arithmetic(), honest(FP32)[0], honest(BF16)[0], honest(contract("float16"))[5]):
        logits = Decoder(SMALL, WEIGHTS, way).logits(*INPUTS)
        assert logits.shape == (5, TOKENS, SMALL.vocab)
        assert logits.dtype.name == way.output
        assert np.isfinite(logits.astype(np.float64)).all()


def test_padding_changes_nothing():
    ids, mask = CORPUS.input_ids_BT[2:3], CORPUS.attention_mask_BT[2:3]
    first = int(np.argmax(mask))
    alone = Decoder(SMALL, WEIGHTS).logits(
        ids[:, first:], mask[:, first:], default_positions(mask[:, first:])
    )
    assert np.allclose(alone[0], LOGITS[2, first:], rtol=0, atol=1e-12 * np.abs(LOGITS).max())


def test_later_tokens_change_nothing():
    cut = Decoder(SMALL, WEIGHTS).logits(*(x[:, :20] for x in INPUTS))
    judged = JUDGED[:, :20]
    assert np.abs((cut - LOGITS[:, :20])[judged]).max() < 1e-12 * np.abs(LOGITS).max()


def test_blocks_change_nothing(monkeypatch):
    monkeypatch.setattr(decoder_module, "BLOCK", 1000)
    assert relative(TRUTH.logits(*INPUTS)) < 1e-13


def test_tied_head_is_the_embedding():
    tied = replace(SMALL, tied=True)
    weights = {name: w for name, w in WEIGHTS.items() if name != "lm_head.weight"}
    untied = {**weights, "lm_head.weight": weights["model.embed_tokens.weight"]}
    assert np.array_equal(
        Decoder(tied, weights).logits(*INPUTS), Decoder(SMALL, untied).logits(*INPUTS)
    )


def test_taps_are_the_stream_after_each_layer():
    taps = TRUTH.hidden_states(*INPUTS)
    assert list(taps) == ["layer.0", "layer.1"]
    one = replace(SMALL, layers=1)
    assert np.array_equal(taps["layer.0"], Decoder(one, WEIGHTS).hidden_states(*INPUTS)["layer.0"])


def test_narrow_weights_are_taken_exactly():
    narrow = {name: w.astype(ml_dtypes.bfloat16) for name, w in WEIGHTS.items()}
    wide = {name: w.astype(np.float64) for name, w in narrow.items()}
    assert np.array_equal(
        Decoder(SMALL, narrow).logits(*INPUTS), Decoder(SMALL, wide).logits(*INPUTS)
    )


def test_weights_that_are_missing_or_misshapen_are_refused():
    with pytest.raises(PackageError, match=r"'lm_head\.weight' is missing"):
        Decoder(SMALL, {n: w for n, w in WEIGHTS.items() if n != "lm_head.weight"})
    with pytest.raises(PackageError, match=r"shape \(3,\); the config asks for \(32,\)"):
        Decoder(SMALL, {**WEIGHTS, "model.norm.weight": np.ones(3)})


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("head_dim", [8, 12])
def test_members_of_the_ensemble_are_the_same_function(kv_heads, head_dim):
    shape = replace(SMALL, kv_heads=kv_heads, head_dim=head_dim)
    weights = make_weights(shape)
    truth = Decoder(shape, weights).logits(*INPUTS)
    for member in members(shape, weights, 3, seed=1):
        assert set(member) == set(weight_shapes(shape))
        logits = Decoder(shape, member).logits(*INPUTS)
        assert relative(logits, truth) < 1e-12


def test_members_round_differently_and_are_the_same_for_the_same_seed():
    def answers(seed):
        way = honest(FP32)[0]
        return [
            Decoder(SMALL, member, way).logits(*INPUTS)
            for member in members(SMALL, WEIGHTS, 3, seed)
        ]

    one, again, other = answers(5), answers(5), answers(6)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert len({rms(a) for a in (*one, *other)}) == 6


UNIT = noise(TRUTH, CORPUS, FP32).unit


def test_unit_is_that_of_the_type():
    assert 2**-24 < UNIT.rms / np.sqrt(np.mean(LOGITS[JUDGED] ** 2)) < 2**-18
    assert UNIT.max > UNIT.rms
    assert (UNIT.members, UNIT.positions, UNIT.contract) == (8, 298, "float32")


def test_decoder_in_fp32_has_about_one_unit_of_noise():
    assert 0.8 < rms(Decoder(SMALL, WEIGHTS, honest(FP32)[0]).logits(*INPUTS)) / UNIT.rms < 1.25


@pytest.mark.parametrize(
    "kind", [FP32, BF16, contract("float16"), contract("bfloat16", "float32", "float32")]
)
def test_unit_is_stable_across_seeds(kind):
    units = [noise(TRUTH, CORPUS, kind, seed=seed).unit for seed in range(3)]
    for unit in units:
        assert abs(unit.rms / units[0].rms - 1) < 0.1
        assert unit.spread < 0.25
        assert noise(TRUTH, CORPUS, kind).unit == units[0]


def test_unit_tells_the_types_apart():
    halves, brains = (noise(TRUTH, CORPUS, contract(n)).unit.rms for n in ("float16", "bfloat16"))
    assert 1000 * UNIT.rms < halves < brains / 4


@pytest.mark.parametrize(
    "fault",
    [
        replace(SMALL, epsilon=1e-3),
        replace(SMALL, rope=Rope(10001.0)),
        replace(SMALL, rope=Rope(1e4, "linear", 1.001)),
    ],
)
def test_fault_stands_out_of_the_noise(fault):
    assert rms(Decoder(fault, WEIGHTS).logits(*INPUTS)) > 3 * UNIT.rms


def test_narrow_intermediates_are_stored_half_of_the_time_at_each_place():
    ways = honest(BF16)
    assert {sum(place in way.unfused for way in ways) for place in PLACES} == {4}
    assert all(not way.unfused for way in honest(contract("bfloat16", "float32", "float32")))
    assert len({way.unfused for way in ways}) == 8


def test_storage_of_a_narrow_type_keeps_only_its_numbers():
    x = np.linspace(-3, 3, 50, dtype=np.float32)
    stored = honest(BF16)[0].store(x)
    assert stored.dtype == np.float32
    assert np.array_equal(stored, x.astype(ml_dtypes.bfloat16).astype(np.float32))


DIGEST = "bb4c537b89a413880aa92a7f92b8124abb72b5c04c87bdbbc3db53850a36e2a6"


def test_corpus_is_fixed():
    digest = hashlib.sha256()
    made = corpus(512, 4096)
    for part in (made.input_ids_BT, made.attention_mask_BT, made.position_ids_BT):
        digest.update(part.astype("<i8").tobytes())
    assert digest.hexdigest() == DIGEST


@pytest.mark.parametrize("positions", [64, 100, 256, 4096, 131072])
def test_corpus_fits_the_model(positions):
    made = corpus(7, positions)
    assert made.attention_mask_BT.sum() >= 256
    assert 0 <= made.position_ids_BT.min() <= made.position_ids_BT.max() < positions
    assert 0 <= made.input_ids_BT.min() <= made.input_ids_BT.max() < 7
    assert (np.diff(made.position_ids_BT[4]) > 0).all()
    assert made.input_ids_BT.dtype == made.position_ids_BT.dtype == np.int64


def test_corpus_has_a_row_that_repeats_and_one_with_gaps():
    assert np.array_equal(CORPUS.input_ids_BT[1, 7:14], CORPUS.input_ids_BT[1, :7])
    assert CORPUS.position_ids_BT[4, ::16].tolist() == [0, 32, 128, 256]


def test_the_corpus_of_text_is_text_to_models_of_bytes():
    for row, text in zip(text_corpus(259, 4096).input_ids_BT, TEXT, strict=True):
        assert text.encode().startswith(bytes(row.tolist()))
    assert text_corpus(32, 64).input_ids_BT.shape == (3, 64)
    assert text_corpus(32, 64).input_ids_BT.max() < 32


@pytest.mark.parametrize("positions", [64, 100, 256, 4096, 131072])
def test_the_far_corpus_goes_to_the_models_last_position(positions):
    near, far = corpus(7, positions), far_corpus(7, positions)
    assert np.array_equal(near.input_ids_BT, far.input_ids_BT)
    assert np.array_equal(near.attention_mask_BT, far.attention_mask_BT)
    assert (np.diff(far.position_ids_BT) > 0).all()
    assert far.position_ids_BT.min() == 0
    assert (far.position_ids_BT.max(axis=1) == positions - 1).all()


@pytest.mark.parametrize("border", [64, 128, 256, 512, 1024, 2048])
def test_the_far_corpus_has_tokens_on_both_sides_of_a_power_of_two(border):
    for row in far_corpus(7, 4096).position_ids_BT[:-1]:
        assert {border - 1, border} <= set(row.tolist())


@pytest.mark.parametrize("windows", [(None, None), (None, 5), (3, 5)])
def test_chosen_tokens_have_the_logits_that_they_have_among_all(windows, monkeypatch):
    monkeypatch.setattr(decoder_module, "BLOCK", 4096)  # several blocks of queries
    architecture = replace(SMALL, windows=windows)
    truth = Decoder(architecture, make_weights(architecture))
    inputs = long_corpus(SMALL.vocab, SMALL.max_positions).inputs
    places = np.array([0, 1, 13, 14, 100, 101, 102, 255, 256])
    close = truth.logits(*inputs)[:, places]
    np.testing.assert_allclose(truth.logits_at(*inputs, places), close, rtol=0, atol=1e-12)


def test_a_prompt_of_32768_takes_the_oracle_little_memory_where_few_tokens_are_asked_for():
    architecture = replace(SMALL, layers=1, max_positions=65536)
    truth, asked = Decoder(architecture, make_weights(architecture)), telling_places()
    inputs = prompt_with_steps(SMALL.vocab).inputs
    tracemalloc.start()
    try:
        answer_BNV = truth.logits_at(*inputs, asked)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer_BNV.shape == (1, 200, SMALL.vocab)
    assert peak < 256 << 20, "all queries against all keys would be 34 GB"


def test_the_places_that_tell_are_the_borders_of_chunks_one_inside_each_and_the_steps():
    asked = telling_places()
    assert (np.diff(asked) > 0).all()
    assert {0, 511, 512, 16383, 16384, 32767, *range(32768, 32776)} <= {*asked.tolist()}
    assert len(asked) == 3 * 64 + 8


def test_a_unit_of_chosen_tokens_is_that_of_the_ensemble():
    made = replace(SMALL, layers=1)
    truth, corpus_ = Decoder(made, make_weights(made)), long_corpus(96, 512)
    all_of_it = unit_at(truth, corpus_, np.arange(257), FP32)
    errors = [  # what `noise` measures, padded tokens included
        m.logits(*corpus_.inputs) - truth.logits(*corpus_.inputs)
        for m, _ in honest_members(truth, FP32)
    ]
    rms = np.median([np.sqrt(np.mean(error * error)) for error in errors])
    assert all_of_it.rms == pytest.approx(rms, rel=1e-9)
    assert all_of_it.positions == 2 * 257


def test_the_long_corpus_is_longer_than_a_tile_of_256():
    made = long_corpus(512, 4096)
    assert made.input_ids_BT.shape == (2, 257)
    assert made.attention_mask_BT.sum(axis=1).tolist() == [257, 244]
    assert long_corpus(512, 100).input_ids_BT.shape == (2, 100)


def test_corpus_refuses_a_model_that_is_too_short():
    for make in (corpus, far_corpus):
        with pytest.raises(ValueError, match="63 positions"):
            make(512, 63)


def test_a_long_row_takes_no_more_memory_than_its_activations_and_a_block():
    def peak(tokens):
        ids = np.arange(tokens)[None] % SMALL.vocab
        mask = np.ones_like(ids)
        tracemalloc.start()
        TRUTH.logits(ids, mask, default_positions(mask))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    # Scores of all queries at once would take four times as much for twice the tokens.
    assert peak(4096) < 1.5 * peak(2048)
    assert peak(4096) < 4096 * 4096 * SMALL.heads * 8 / 2
