"""Faults of a build that was made from something else than the package: stale, or put wrongly.

They are in the constants of the exported graph, or in the weights that a decoder is given.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant
from conformance.mutants.graph import changed, nodes
from conformance.mutants.weights import EMBEDDING, HEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Honest = Callable[..., Any]

_STEP = 2.0**-9
"""How far a later revision is from an earlier one, as a share of each number's own size."""


def _products(model: Any) -> Iterator[str]:
    """Yield the constants that a graph multiplies by, in its order."""
    constants = {tensor.name for tensor in model.graph.initializer}
    for node in nodes(model, "MatMul"):
        if node.input[1] in constants:
            yield node.input[1]


def _noise(shape: tuple[int, ...], key: int) -> Any:
    return np.random.Generator(np.random.Philox(key)).standard_normal(shape)


def _revised(array: Any, key: int) -> Any:
    """Return numbers as another revision would have them: each a little different."""
    return (array * (1 + _STEP * _noise(array.shape, key))).astype(array.dtype)


def _stale(array: Any) -> Any:
    """Return a matrix as it was some time before: a tenth of its size away."""
    return array + 0.1 * np.std(array) * _noise(array.shape, 1)


@mutant("graph", kills=("PKG-002", "LOGITS-001", "LOGITS-002"), bug="generic")
def graph_of_another_revision(model: Any) -> Any:
    """Every matrix is that of another revision of the weights."""
    for key, name in enumerate(_products(model)):
        changed(model, name, functools.partial(_revised, key=key))
    return model


@mutant("graph", kills=("PKG-002", "LOGITS-001", "LOGITS-002"), bug="generic")
def graph_with_a_stale_tensor(model: Any) -> Any:
    """One matrix, the third that is multiplied by, was left from an earlier export."""
    changed(model, list(_products(model))[2], _stale)
    return model


@mutant("graph", kills=("PKG-002", "LOGITS-001", "LOGITS-002"), bug="generic")
def graph_with_a_tensor_unloaded(model: Any) -> Any:
    """One matrix, the third that is multiplied by, is as it was initialised."""
    changed(model, list(_products(model))[2], lambda array: 0.02 * _noise(array.shape, 2))
    return model


@mutant("graph", kills=("PKG-002", "LOGITS-001", "LOGITS-002"), bug="generic")
def graph_head_is_the_embedding(model: Any) -> Any:
    """The head is the embedding, though the two are not tied."""
    from onnx import numpy_helper  # noqa: PLC0415  # this module is imported where onnx is not

    lookup = next(n for n in nodes(model, "Gather") if n.input[0].endswith(EMBEDDING)).input[0]
    tensor = next(one for one in model.graph.initializer if one.name == lookup)
    embedding = numpy_helper.to_array(tensor)
    head = nodes(model, "MatMul")[-1].input[1]
    if head in {one.name for one in model.graph.initializer}:
        changed(model, head, lambda _: embedding.T)
    return model


@mutant("graph", kills=("PKG-002", "LOGITS-001", "LOGITS-002"), bug="generic")
def graph_head_apart_from_the_embedding(model: Any) -> Any:
    """The tied head is a copy of its own, of another revision than the embedding."""
    from onnx import numpy_helper  # noqa: PLC0415  # see above

    tensors = {one.name: one for one in model.graph.initializer}
    for node in nodes(model, "Transpose"):
        if node.input[0] in tensors:
            copied = _revised(numpy_helper.to_array(tensors[node.input[0]]), 3)
            model.graph.initializer.append(numpy_helper.from_array(copied, "head_of_its_own"))
            node.input[0] = "head_of_its_own"
    return model


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002", "FAULT-001"), bug="generic")
def weights_of_another_revision(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """Every matrix is that of another revision of the weights, in a build that shows none."""
    revised = {
        name: _revised(array, key) if array.ndim > 1 else array
        for key, (name, array) in enumerate(weights.items())
    }
    return honest(config, revised, **named)


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def head_is_the_embedding(honest: Honest, config: Any, weights: Any, **named: Any) -> Any:
    """The head is the embedding, though the two are not tied, in a build that shows neither."""
    shared = {**weights, HEAD: weights[EMBEDDING]} if HEAD in weights else weights
    return honest(config, shared, **named)
