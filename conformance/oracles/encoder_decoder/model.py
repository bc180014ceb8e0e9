"""The encoder-decoder of T5's shape, of the oracle's operators: fp64 truth, or honest otherwise.

Written apart from the reference model, in NumPy, from Raffel et al. 2020 (section 2.1), Vaswani et
al. 2017 (section 3), Zhang and Sennrich 2019 (eq. 4) and Shazeer 2020; each is tested against the
other. It has no cache: what a cache changes nothing about needs none.

Shape letters: B batch, S source tokens or keys, T target tokens or queries, D model, H heads, K
head dim, F units, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision
from conformance.errors import PackageError
from conformance.oracles.arithmetic import FP64, Arithmetic
from conformance.oracles.encoder_decoder.architecture import table_of, weight_shapes
from conformance.oracles.operators import activations, linear, norms, softmax

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.oracles.encoder_decoder.architecture import EncoderDecoderArchitecture

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Seen = NDArray[np.bool_]

HIDDEN, LOGITS = "encoder_last_hidden_state", "logits"
_GATES = {"gelu_tanh": activations.gelu_tanh, "silu": activations.silu}


@dataclass(frozen=True)
class EncoderDecoder:
    """A model that encodes a source, and answers the logits of a target that is given.

    Args:
        architecture: its sizes and constants.
        weights: arrays by the names of ``T5ForConditionalGeneration``, of any float type.
        arithmetic: the types in which it computes.

    Raises:
        PackageError: a weight is missing or of another shape.
    """

    architecture: EncoderDecoderArchitecture
    weights: Mapping[str, Array]
    arithmetic: Arithmetic = FP64

    def __post_init__(self) -> None:
        for name, shape in weight_shapes(self.architecture).items():
            seen = self.weights[name].shape if name in self.weights else None
            if seen != shape:
                raise PackageError(f"weight {name!r} has shape {seen}; the config asks for {shape}")

    def member(
        self, weights: Mapping[str, Array], way: Arithmetic, channels_D: Ints
    ) -> EncoderDecoder:
        """Return the same function with its weights in another order, computed in another way."""
        del channels_D  # nothing but weights has channels
        return EncoderDecoder(self.architecture, weights, way)

    def decode(
        self, source_ids_BS: Ints, source_mask_BS: Ints, target_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return what it answers, by name, in the output type; mask 1 shows a source token.

        ``encoder_last_hidden_state`` (B, S, D) and ``logits`` (B, T, V).
        """
        seen_B1S = (source_mask_BS != 0)[:, None, :]
        x_BSD = self._embedded(source_ids_BS)
        bias_HSS = self._bias("encoder", source_ids_BS.shape[1])
        for i in range(self.architecture.encoder_layers):
            prefix = f"encoder.block.{i}.layer"
            x_BSD = self._attended(f"{prefix}.0", "Self", x_BSD, None, bias_HSS, seen_B1S)
            x_BSD = self._fed(f"{prefix}.1", x_BSD)
        encoded_BSD = self._norm("encoder.final_layer_norm", x_BSD)
        logits_BTV = self._decoded(target_ids_BT, encoded_BSD, seen_B1S)
        return {HIDDEN: self._answered(encoded_BSD), LOGITS: self._answered(logits_BTV)}

    def _decoded(self, ids_BT: Ints, encoded_BSD: Array, seen_B1S: Seen) -> Array:
        tokens, x_BTD = ids_BT.shape[1], self._embedded(ids_BT)
        bias_HTT = self._bias("decoder", tokens)
        earlier_1TT = np.tri(tokens, dtype=np.bool_)[None]
        for i in range(self.architecture.decoder_layers):
            prefix = f"decoder.block.{i}.layer"
            x_BTD = self._attended(f"{prefix}.0", "Self", x_BTD, None, bias_HTT, earlier_1TT)
            x_BTD = self._attended(f"{prefix}.1", "EncDec", x_BTD, encoded_BSD, None, seen_B1S)
            x_BTD = self._fed(f"{prefix}.2", x_BTD)
        normed = self._norm("decoder.final_layer_norm", x_BTD)
        if not self.architecture.tied:
            return self._product(normed, "lm_head.weight")
        scale = normed.dtype.type(self.architecture.dim**-0.5)
        return self._product(self.arithmetic.store(normed * scale), "shared.weight")

    def _embedded(self, ids_BT: Ints) -> Array:
        return self.arithmetic.load(linear.embedding(self.weights["shared.weight"], ids_BT))

    def _bias(self, side: str, tokens: int) -> Array:
        """Return what a stack adds to the scores of each pair of tokens, (H, T, S)."""
        a = self.architecture
        ahead_TS = np.arange(tokens) - np.arange(tokens)[:, None]
        if side == "encoder":
            rows = a.buckets // 2
            near_TS = rows_of(np.abs(ahead_TS), rows, a.max_distance)
            rows_TS = near_TS + np.where(ahead_TS > 0, rows, 0)
        else:
            rows_TS = rows_of(np.maximum(-ahead_TS, 0), a.buckets, a.max_distance)
        table = self.arithmetic.load(self.weights[table_of(side)])
        bias_HTS: Array = np.moveaxis(table[rows_TS], -1, 0)
        return bias_HTS

    def _attended(
        self,
        prefix: str,
        kind: str,
        x_BTD: Array,
        read_BSD: Array | None,
        bias_HTS: Array | None,
        seen: Seen,
    ) -> Array:
        """Return the stream behind attention to ``read_BSD``, or to itself where that is None."""
        way, name = self.arithmetic, f"{prefix}.{kind}Attention"
        normed_BTD = self._norm(f"{prefix}.layer_norm", x_BTD)
        read_BSD = normed_BTD if read_BSD is None else read_BSD
        q_BHTK = self._heads(normed_BTD, f"{name}.q.weight")
        k_BHSK, v_BHSK = (self._heads(read_BSD, f"{name}.{part}.weight") for part in "kv")
        scores = way.between("scores", way.matmul(q_BHTK, k_BHSK.swapaxes(-1, -2)))
        if bias_HTS is not None:
            scores = way.between("scores", scores + bias_HTS)
        # The smallest finite score, not -inf: a row of padding alone spreads its attention evenly.
        shown = np.where(seen[:, None], scores, np.finfo(scores.dtype).min)
        read_BHTK = way.matmul(way.between("weights", softmax.softmax(shown)), v_BHSK)
        joined = way.store(read_BHTK.swapaxes(1, 2).reshape(*x_BTD.shape[:2], -1))
        return way.store(x_BTD + self._product(joined, f"{name}.o.weight"))

    def _fed(self, prefix: str, x_BTD: Array) -> Array:
        """Return the stream behind the feed-forward."""
        way, name = self.arithmetic, f"{prefix}.DenseReluDense"
        normed = self._norm(f"{prefix}.layer_norm", x_BTD)
        if self.architecture.gate is None:
            units = activations.relu(self._product(normed, f"{name}.wi.weight"))
        else:
            activate = _GATES[self.architecture.gate]
            opened = activate(self._product(normed, f"{name}.wi_0.weight"))
            units = way.between("mlp", opened) * self._product(normed, f"{name}.wi_1.weight")
        return way.store(x_BTD + self._product(way.store(units), f"{name}.wo.weight"))

    def _heads(self, x_BSD: Array, name: str) -> Array:
        y = self._product(x_BSD, name)
        return y.reshape(*y.shape[:2], self.architecture.heads, -1).swapaxes(1, 2)

    def _product(self, x: Array, name: str) -> Array:
        way = self.arithmetic
        return way.store(way.matmul(x, way.load(self.weights[name]).T))

    def _norm(self, name: str, x: Array) -> Array:
        way = self.arithmetic
        normed = norms.rms_normalize(x, self.architecture.epsilon)
        return way.store(way.between("norm", normed) * way.load(self.weights[f"{name}.weight"]))

    def _answered(self, x: Array) -> Array:
        with np.errstate(over="ignore"):
            return x.astype(precision.dtype(self.arithmetic.output))


def rows_of(distance: Ints, rows: int, max_distance: int) -> Ints:
    """Return which of a side's rows each distance from 0 on has.

    Half of the rows are of one distance each. Behind them, distance d has row e + floor(n log(d/e)
    / log(m/e)), with e rows of one, n others and m the longest distance; the last row has the rest.
    The floor is that of exact numbers: (d/e)^n is compared with powers of m/e.
    """
    exact = rows // 2
    others = rows - exact
    growth = Fraction(max_distance, exact)

    def row(d: int) -> int:
        if d < exact:
            return d
        reached = Fraction(d, exact) ** others
        return exact + max(n for n in range(others) if growth**n <= reached)

    known = np.array([row(d) for d in range(int(distance.max(initial=0)) + 1)])
    found: Ints = known[distance]
    return found
