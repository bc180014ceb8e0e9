"""The encoder of BERT's shape, of the oracle's operators: fp64 truth, or honest at a precision.

Written apart from the reference model, in NumPy, from Devlin et al. 2019 (section 3, appendix A),
Vaswani et al. 2017 (section 3) and Ba et al. 2016 (eq. 4); each is tested against the other.

Shape letters: B batch, T tokens, S keys, D model, H heads, K head dim, F units, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision
from conformance.errors import PackageError
from conformance.oracles.arithmetic import FP64, Arithmetic
from conformance.oracles.operators import activations, linear, norms, softmax

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.oracles.encoder.architecture import EncoderArchitecture

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_HEAD = "cls.predictions"
_EMBEDDINGS = "bert.embeddings"


@dataclass(frozen=True)
class Encoder:
    """A model that answers hidden states, a vector of each row, and logits of masked tokens.

    Args:
        architecture: its sizes and constants.
        weights: arrays by the names of ``BertForMaskedLM``, of any float type.
        arithmetic: the types in which it computes.

    Raises:
        PackageError: a weight is missing or of another shape.
    """

    architecture: EncoderArchitecture
    weights: Mapping[str, Array]
    arithmetic: Arithmetic = FP64

    def __post_init__(self) -> None:
        for name, shape in weight_shapes(self.architecture).items():
            seen = self.weights[name].shape if name in self.weights else None
            if seen != shape:
                raise PackageError(f"weight {name!r} has shape {seen}; the config asks for {shape}")

    def encode(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, token_type_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return what it answers, by name, in the output type; mask 1 shows a token.

        ``last_hidden_state`` (B, T, D), ``pooler_output`` (B, D) and ``logits`` (B, T, V).
        """
        x_BTD = self._embedded(input_ids_BT, token_type_ids_BT)
        for i in range(self.architecture.layers):
            x_BTD = self._layer(f"bert.encoder.layer.{i}", x_BTD, attention_mask_BT)
        answer = {"last_hidden_state": self._answered(x_BTD)}
        if self.architecture.pooler:
            answer["pooler_output"] = self.pooled(x_BTD)
        if self.architecture.head:
            answer["logits"] = self.predicted(x_BTD)
        return answer

    def pooled(self, x_BTD: Array) -> Array:
        """Return the vector of each row, (B, D), of hidden states."""
        first_BD = self._dense("bert.pooler.dense", x_BTD[:, 0])
        return self._answered(self.arithmetic.store(np.tanh(first_BD)))

    def predicted(self, x_BTD: Array) -> Array:
        """Return the masked-token logits, (B, T, V), of hidden states."""
        transformed = self._dense(f"{_HEAD}.transform.dense", x_BTD)
        activated = self.arithmetic.store(activations.gelu(transformed))
        normed = self._norm(f"{_HEAD}.transform.LayerNorm", activated)
        # The matrix is the word embedding (Press and Wolf 2017); only the bias is the head's own.
        matrix = self.weights[f"{_EMBEDDINGS}.word_embeddings.weight"]
        logits = self._product(normed, matrix, self.weights[f"{_HEAD}.bias"])
        return self._answered(logits)

    def _embedded(self, ids_BT: Ints, types_BT: Ints) -> Array:
        way = self.arithmetic
        slots_T = np.arange(ids_BT.shape[1])
        word, kind, place = (
            way.load(linear.embedding(self.weights[f"{_EMBEDDINGS}.{name}.weight"], chosen))
            for name, chosen in (
                ("word_embeddings", ids_BT),
                ("token_type_embeddings", types_BT),
                ("position_embeddings", slots_T),
            )
        )
        summed = way.store(way.between("sum", word + kind) + place)
        return self._norm(f"{_EMBEDDINGS}.LayerNorm", summed)

    def _layer(self, prefix: str, x_BTD: Array, mask_BS: Ints) -> Array:
        read = self._attention(f"{prefix}.attention", x_BTD, mask_BS)
        x_BTD = self._added(f"{prefix}.attention.output", read, x_BTD)
        units = self._dense(f"{prefix}.intermediate.dense", x_BTD)
        return self._added(
            f"{prefix}.output", self.arithmetic.store(activations.gelu(units)), x_BTD
        )

    def _added(self, name: str, y: Array, x_BTD: Array) -> Array:
        """Return the norm of the stream and what a dense layer adds to it."""
        summed = self.arithmetic.store(self._dense(f"{name}.dense", y) + x_BTD)
        return self._norm(f"{name}.LayerNorm", summed)

    def _attention(self, prefix: str, x_BTD: Array, mask_BS: Ints) -> Array:
        q_BHTK, k_BHSK, v_BHSK = (
            self._heads(f"{prefix}.self.{name}", x_BTD) for name in ("query", "key", "value")
        )
        way, scale = self.arithmetic, q_BHTK.dtype.type(q_BHTK.shape[-1] ** -0.5)
        scores = way.between("scores", way.matmul(q_BHTK, k_BHSK.swapaxes(-1, -2)) * scale)
        # The smallest finite score, not -inf: a row of padding alone spreads its attention evenly.
        smallest = np.finfo(scores.dtype).min
        seen = np.where(mask_BS[:, None, None, :] != 0, scores, smallest)
        read_BHTK = way.matmul(way.between("weights", softmax.softmax(seen)), v_BHSK)
        joined: Array = read_BHTK.swapaxes(1, 2).reshape(x_BTD.shape)
        return way.store(joined)

    def _heads(self, name: str, x_BTD: Array) -> Array:
        y = self._dense(name, x_BTD)
        return y.reshape(*y.shape[:2], self.architecture.heads, -1).swapaxes(1, 2)

    def _dense(self, name: str, x: Array) -> Array:
        return self._product(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _product(self, x: Array, matrix: Array, bias: Array) -> Array:
        way = self.arithmetic
        product = way.between("sum", way.matmul(x, way.load(matrix).T))
        return way.store(product + way.load(bias))

    def _norm(self, name: str, x: Array) -> Array:
        way = self.arithmetic
        ones = np.ones(x.shape[-1], x.dtype)
        normed = norms.layer_norm(x, ones, 0 * ones, self.architecture.epsilon).y
        gain, bias = (way.load(self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return way.store(way.between("norm", normed) * gain + bias)

    def _answered(self, x: Array) -> Array:
        with np.errstate(over="ignore"):
            return x.astype(precision.dtype(self.arithmetic.output))


def weight_shapes(architecture: EncoderArchitecture) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight that an encoder needs, by ``BertForMaskedLM``'s names."""
    a = architecture
    dense = {
        "attention.self.query": (a.dim, a.dim),
        "attention.self.key": (a.dim, a.dim),
        "attention.self.value": (a.dim, a.dim),
        "attention.output.dense": (a.dim, a.dim),
        "intermediate.dense": (a.hidden, a.dim),
        "output.dense": (a.dim, a.hidden),
    }
    matrices = {
        f"bert.encoder.layer.{i}.{name}": shape
        for i in range(a.layers)
        for name, shape in dense.items()
    }
    normed = [f"{_EMBEDDINGS}.LayerNorm"]
    normed += [name.replace(".dense", ".LayerNorm") for name in matrices if "output" in name]
    if a.pooler:
        matrices["bert.pooler.dense"] = (a.dim, a.dim)
    if a.head:
        matrices[f"{_HEAD}.transform.dense"] = (a.dim, a.dim)
        normed.append(f"{_HEAD}.transform.LayerNorm")
    shapes: dict[str, tuple[int, ...]] = {
        f"{_EMBEDDINGS}.word_embeddings.weight": (a.vocab, a.dim),
        f"{_EMBEDDINGS}.position_embeddings.weight": (a.max_positions, a.dim),
        f"{_EMBEDDINGS}.token_type_embeddings.weight": (a.types, a.dim),
    }
    for name, shape in matrices.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    shapes |= {f"{name}.{part}": (a.dim,) for name in normed for part in ("weight", "bias")}
    return shapes if not a.head else {**shapes, f"{_HEAD}.bias": (a.vocab,)}
