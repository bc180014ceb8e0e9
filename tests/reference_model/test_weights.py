from __future__ import annotations

import dataclasses

import ml_dtypes
import numpy as np
import pytest

from reference_model import layout
from reference_model.weights import Design, digest, make_weights
from reference_model.zoo import MODELS


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_suites_weights_have_the_pinned_digest(model):
    assert digest(model.weights()) == model.digest


def test_shapes_types_and_order_are_canonical(variant):
    weights = make_weights(variant, 1)
    shapes = layout.tensor_shapes(variant)
    assert list(weights) == list(shapes)
    assert {name: tensor.shape for name, tensor in weights.items()} == shapes
    assert {tensor.dtype.name for tensor in weights.values()} == {"float32"}


def test_a_tensor_depends_on_no_other_tensor(small, monkeypatch):
    expected = make_weights(small, 1)
    shapes = layout.tensor_shapes(small)
    backwards = dict(reversed(shapes.items()))
    monkeypatch.setattr(layout, "tensor_shapes", lambda _: backwards)
    again = make_weights(small, 1)
    assert list(again) == list(backwards)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(again[name], tensor, strict=True)


def test_another_seed_changes_every_tensor(small):
    one, two = make_weights(small, 1), make_weights(small, 2)
    assert not any(np.array_equal(one[name], two[name]) for name in one)


def test_no_two_tensors_are_alike(small):
    tensors = [tensor for tensor in make_weights(small, 1).values() if tensor.ndim == 2]
    heads = {tuple((tensor / tensor.std()).ravel()[:8].round(3)) for tensor in tensors}
    assert len(heads) == len(tensors)


def test_matrices_are_nearly_normal_and_of_the_aimed_deviation(small):
    wide = dataclasses.replace(small, vocab=4000)
    embedding = make_weights(wide, 1, Design(embedding=0.08))[layout.EMBEDDING] / 0.08
    assert abs(embedding.mean()) < 0.01
    assert abs(embedding.std() - 1) < 0.01
    assert abs((np.abs(embedding) > 2).mean() - 0.0455) < 0.004  # the normal's two-sided tail
    assert np.abs(embedding).max() < 6


def test_norm_weights_differ_from_one_and_from_each_other():
    for name, tensor in MODELS["llama-gqa"].weights().items():
        if tensor.ndim == 1:
            assert len(np.unique(tensor)) == tensor.size, name
            assert not (tensor == 1).any()
            assert 0.5 <= tensor.min() < 0.6
            assert 1.4 < tensor.max() <= 1.5


def test_outlier_channels_stand_out_by_eight_to_twelve():
    model = MODELS["llama-mha-scaled"]
    plain = make_weights(model.config, model.seed, dataclasses.replace(model.design, outliers=0))
    for name, tensor in model.weights().items():
        if tensor.ndim == 1:
            factor = tensor / plain[name]
            assert sorted(factor)[:-2] == [1.0] * (tensor.size - 2)
            assert all(8 - 1e-6 < f < 12 + 1e-6 for f in sorted(factor)[-2:])


def test_rows_of_a_ladder_stand_in_pairs_that_differ_twice_as_much_as_the_pair_before():
    model = MODELS["llama-mha-scaled"]
    head = model.weights()[layout.HEAD].astype(np.float64)
    apart = (head[1::2] - head[::2]).std(axis=1) / head.std()
    rungs = apart.reshape(-1)[:240].reshape(12, 20).mean(axis=0)  # 256 pairs: 12 whole ladders
    assert np.allclose(np.log2(rungs), np.arange(-20, 0), atol=0.2)


def test_the_digest_sees_names_types_shapes_order_and_every_bit():
    base = {"a": np.arange(6, dtype=np.float32), "b": np.ones(2, np.float32)}
    flipped = base["a"].copy()
    flipped.view(np.uint32)[0] ^= 1
    others = [
        {"x": base["a"], "b": base["b"]},
        base | {"a": base["a"].astype(np.float64)},
        base | {"a": base["a"].reshape(2, 3)},
        {"b": base["b"], "a": base["a"]},
        base | {"a": flipped},
        {"a": base["a"]},
    ]
    digests = [digest(weights) for weights in [base, *others]]
    assert len(set(digests)) == len(digests)


def test_the_digest_is_of_values_and_not_of_memory():
    columns = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    swapped = columns.astype(columns.dtype.newbyteorder(">"))
    expected = digest({"a": np.ascontiguousarray(columns)})
    assert digest({"a": columns}) == expected
    assert digest({"a": swapped}) == expected


def test_the_digest_tells_sixteen_bit_types_apart():
    zeros = np.zeros(3)
    types = [np.float16, ml_dtypes.bfloat16, np.uint16]
    assert len({digest({"a": zeros.astype(dtype)}) for dtype in types}) == 3
