"""The original Transformer, of the oracle's operators: fp64 truth, or honest at a precision.

Written apart from the reference model, in NumPy, from Vaswani et al. 2017 (section 3) and Ba et al.
2016 (eq. 4); each is tested against the other. Of Marian's published semantics are the order of
sines and cosines and the bias of the logits. It has no cache.

Shape letters: B batch, S source tokens or keys, T target tokens or queries, D model, H heads, K
head dim, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision
from conformance.errors import PackageError
from conformance.oracles.arithmetic import FP64, Arithmetic
from conformance.oracles.encoder_decoder.model import HIDDEN, LOGITS
from conformance.oracles.encoder_decoder.transformer.architecture import EPSILON, weight_shapes
from conformance.oracles.operators import activations, linear, norms, softmax

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.oracles.encoder_decoder.transformer.architecture import (
        Stack,
        TransformerArchitecture,
    )

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Seen = NDArray[np.bool_]

_SHARED = "model.shared.weight"
_ACTIVATIONS = {"relu": activations.relu, "silu": activations.silu}


@dataclass(frozen=True)
class Transformer:
    """A model that encodes a source, and answers the logits of a target that is given.

    Args:
        architecture: its sizes.
        weights: arrays by the names of ``MarianMTModel``, of any float type.
        arithmetic: the types in which it computes.
        channels_D: which of the original channels stands where, where they are permuted.

    Raises:
        PackageError: a weight is missing or of another shape.
    """

    architecture: TransformerArchitecture
    weights: Mapping[str, Array]
    arithmetic: Arithmetic = FP64
    channels_D: Ints | None = None

    def __post_init__(self) -> None:
        for name, shape in weight_shapes(self.architecture).items():
            seen = self.weights[name].shape if name in self.weights else None
            if seen != shape:
                raise PackageError(f"weight {name!r} has shape {seen}; the config asks for {shape}")

    def member(
        self, weights: Mapping[str, Array], way: Arithmetic, channels_D: Ints
    ) -> Transformer:
        """Return the same function with its weights in another order, computed in another way."""
        return replace(self, weights=weights, arithmetic=way, channels_D=channels_D)

    def decode(
        self, source_ids_BS: Ints, source_mask_BS: Ints, target_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return what it answers, by name, in the output type; mask 1 shows a source token.

        ``encoder_last_hidden_state`` (B, S, D) and ``logits`` (B, T, V).
        """
        seen_B1S = (source_mask_BS != 0)[:, None, :]
        encoded_BSD = self._through("encoder", source_ids_BS, seen_B1S)
        earlier_1TT = np.tri(target_ids_BT.shape[1], dtype=np.bool_)[None]
        x_BTD = self._through("decoder", target_ids_BT, earlier_1TT, (encoded_BSD, seen_B1S))
        way = self.arithmetic
        product = way.between("sum", way.matmul(x_BTD, way.load(self.weights[_SHARED]).T))
        logits = way.store(product + way.load(self.weights["final_logits_bias"][0]))
        return {HIDDEN: self._answered(encoded_BSD), LOGITS: self._answered(logits)}

    def _through(
        self, side: str, ids_BT: Ints, seen: Seen, source: tuple[Array, Seen] | None = None
    ) -> Array:
        """Return the stream behind all layers of a stack, (B, T, D)."""
        stack: Stack = getattr(self.architecture, side)
        activate = _ACTIVATIONS[self.architecture.activation]
        x_BTD = self._embedded(ids_BT)
        for i in range(stack.layers):
            prefix = f"model.{side}.layers.{i}"
            read = self._read(f"{prefix}.self_attn", stack.heads, x_BTD, x_BTD, seen)
            x_BTD = self._added(f"{prefix}.self_attn_layer_norm", x_BTD, read)
            if source is not None:
                read = self._read(f"{prefix}.encoder_attn", stack.heads, x_BTD, *source)
                x_BTD = self._added(f"{prefix}.encoder_attn_layer_norm", x_BTD, read)
            units = activate(self._dense(f"{prefix}.fc1", x_BTD))
            fed = self._dense(f"{prefix}.fc2", self.arithmetic.store(units))
            x_BTD = self._added(f"{prefix}.final_layer_norm", x_BTD, fed)
        return x_BTD

    def _embedded(self, ids_BT: Ints) -> Array:
        way = self.arithmetic
        words = way.load(linear.embedding(self.weights[_SHARED], ids_BT))
        root = words.dtype.type(np.sqrt(self.architecture.dim))
        places_TD = sinusoids(ids_BT.shape[1], self.architecture.dim)
        if self.channels_D is not None:
            places_TD = places_TD[:, self.channels_D]
        # A table is of a type, as weights are; what is exact has none.
        places_TD = way.store(places_TD.astype(words.dtype))
        return way.store(way.store(words * root) + places_TD)

    def _read(self, name: str, heads: int, x_BTD: Array, read_BSD: Array, seen: Seen) -> Array:
        """Return what attention to ``read_BSD`` adds to the stream, (B, T, D)."""
        way = self.arithmetic
        q_BHTK, k_BHSK, v_BHSK = (
            _heads(self._dense(f"{name}.{part}_proj", x), heads)
            for part, x in (("q", x_BTD), ("k", read_BSD), ("v", read_BSD))
        )
        scale = q_BHTK.dtype.type(q_BHTK.shape[-1] ** -0.5)
        scores = way.between("scores", way.matmul(q_BHTK, k_BHSK.swapaxes(-1, -2)) * scale)
        # The smallest finite score, not -inf: a row of padding alone spreads its attention evenly.
        shown = np.where(seen[:, None], scores, np.finfo(scores.dtype).min)
        read_BHTK = way.matmul(way.between("weights", softmax.softmax(shown)), v_BHSK)
        joined = way.store(read_BHTK.swapaxes(1, 2).reshape(x_BTD.shape))
        return self._dense(f"{name}.out_proj", joined)

    def _dense(self, name: str, x: Array) -> Array:
        way = self.arithmetic
        matrix, bias = (way.load(self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return way.store(way.between("sum", way.matmul(x, matrix.T)) + bias)

    def _added(self, name: str, x_BTD: Array, y_BTD: Array) -> Array:
        """Return the norm of a sum."""
        way = self.arithmetic
        summed = way.store(x_BTD + y_BTD)
        ones = np.ones(summed.shape[-1], summed.dtype)
        normed = norms.layer_norm(summed, ones, 0 * ones, EPSILON).y
        gain, bias = (way.load(self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return way.store(way.between("norm", normed) * gain + bias)

    def _answered(self, x: Array) -> Array:
        with np.errstate(over="ignore"):
            return x.astype(precision.dtype(self.arithmetic.output))


def sinusoids(places: int, dim: int) -> Array:
    """Return sines, then cosines, of places from 0 on, (places, D) (section 3.5).

    The paper has them in turns: another order of the channels.
    """
    pairs = np.arange(dim // 2)
    angle = np.arange(places)[:, None] / np.power(10000.0, 2 * pairs / dim)
    table: Array = np.hstack([np.sin(angle), np.cos(angle)])
    return table


def _heads(y_BSD: Array, heads: int) -> Array:
    return y_BSD.reshape(*y_BSD.shape[:2], heads, -1).swapaxes(1, 2)
