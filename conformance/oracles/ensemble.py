"""The honest ensemble: one function computed in many equal ways, and the noise unit that it gives.

A decoder has symmetries that change no value and every rounding: its hidden channels, feed-forward
units, key/value heads with their queries, query heads within a group and value channels may each
be permuted. Matrix products then add in another order, which stands for other kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.arithmetic import honest
from conformance.oracles.decoder import Decoder, weight_shapes
from conformance.records import NoiseUnit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.architecture import Architecture
    from conformance.oracles.corpus import Corpus
    from conformance.records import Contract

    Array = NDArray[Any]
    Order = NDArray[np.int64]

MEMBERS = 8
"""Members of an ensemble, at least: one for each way of computing that a contract allows."""


def members(
    architecture: Architecture, weights: Mapping[str, Array], count: int, seed: int
) -> Iterator[Mapping[str, Array]]:
    """Yield ``count`` sets of weights of the same function; permuted when they are read."""
    for member in range(count):
        generator = np.random.Generator(np.random.Philox(key=[seed, member]))
        yield _Permuted(weights, _orders(architecture, generator))


def noise_unit(
    truth: Decoder,
    corpus: Corpus,
    contract: Contract,
    *,
    count: int = MEMBERS,
    seed: int = 0,
    expected_BTV: Array | None = None,
) -> NoiseUnit:
    """Measure how far honest implementations of a contract are from fp64.

    Args:
        truth: the decoder in fp64.
        corpus: the tokens; positions whose mask is 0 are not judged.
        contract: the claimed precision.
        count: members of the ensemble, at least 8.
        seed: of the permutations.
        expected_BTV: the logits of ``truth`` on the corpus, where they are known already.
    """
    if count < MEMBERS:
        raise ValueError(f"an ensemble of {count}; a median is taken over at least {MEMBERS}")
    inputs = (corpus.input_ids_BT, corpus.attention_mask_BT, corpus.position_ids_BT)
    judged_BT = corpus.attention_mask_BT != 0
    if expected_BTV is None:
        expected_BTV = truth.logits(*inputs)
    ways = honest(contract)
    errors = []
    for i, weights in enumerate(members(truth.architecture, truth.weights, count, seed)):
        member = Decoder(truth.architecture, weights, ways[i % len(ways)])
        errors.append(_error(member.logits(*inputs), expected_BTV, judged_BT))
    rms, largest = np.array(errors).T
    middle = float(np.median(rms))
    spread = float(np.max(np.abs(rms / middle - 1)))
    return NoiseUnit(
        middle, float(np.median(largest)), spread, count, int(judged_BT.sum()), contract.name
    )


def _error(observed_BTV: Array, expected_BTV: Array, judged_BT: Array) -> tuple[float, float]:
    """Return RMS and maximum of the error at the judged positions, one position at a time."""
    squares, largest = [], []
    for row in np.argwhere(judged_BT):
        place = tuple(row)
        error_V = np.abs(observed_BTV[place].astype(np.float64) - expected_BTV[place])
        squares.append(np.mean(error_V * error_V))
        largest.append(error_V.max())
    return float(np.sqrt(np.mean(squares))), float(np.max(largest))


@dataclass(frozen=True)
class _Order:
    """Which rows and columns of a weight stand where; None leaves them."""

    rows: Order | None = None
    columns: Order | None = None


class _Permuted(Mapping[str, "Array"]):
    """Weights that are permuted one by one when they are read, so that no copy of all is made."""

    def __init__(self, weights: Mapping[str, Array], orders: Mapping[str, _Order]) -> None:
        self._weights, self._orders = weights, orders

    def __getitem__(self, name: str) -> Array:
        order, weight = self._orders[name], self._weights[name]
        if order.rows is not None:
            weight = weight[order.rows]
        return weight if order.columns is None else weight[:, order.columns]

    def __iter__(self) -> Iterator[str]:
        return iter(self._orders)

    def __len__(self) -> int:
        return len(self._orders)


def _orders(architecture: Architecture, generator: np.random.Generator) -> dict[str, _Order]:
    """Draw an order of everything that may be permuted, and say what it means for each weight."""
    channels = generator.permutation(architecture.dim)
    vocabulary = _Order(columns=channels)
    orders = {name: vocabulary for name in weight_shapes(architecture) if "layers" not in name}
    orders["model.norm.weight"] = _Order(rows=channels)
    for i in range(architecture.layers):
        units = generator.permutation(architecture.hidden)
        queries, keys, values, mixed = _head_orders(architecture, generator)
        layer = {
            "input_layernorm": _Order(channels),
            "post_attention_layernorm": _Order(channels),
            "self_attn.q_proj": _Order(queries, channels),
            "self_attn.k_proj": _Order(keys, channels),
            "self_attn.v_proj": _Order(values, channels),
            "self_attn.o_proj": _Order(channels, mixed),
            "mlp.gate_proj": _Order(units, channels),
            "mlp.up_proj": _Order(units, channels),
            "mlp.down_proj": _Order(channels, units),
        }
        orders |= {f"model.layers.{i}.{name}.weight": order for name, order in layer.items()}
    return orders


def _head_orders(
    architecture: Architecture, generator: np.random.Generator
) -> tuple[Order, Order, Order, Order]:
    """Return the orders of queries, keys, values, and of what the output projection reads.

    Channels of queries and keys stay in place within a head: rotary embedding tells them apart.
    """
    groups, size = architecture.kv_heads, architecture.head_dim
    repeats = architecture.heads // groups
    kv_heads = generator.permutation(groups)
    heads = np.concatenate([head * repeats + generator.permutation(repeats) for head in kv_heads])
    within = np.stack([generator.permutation(size) for _ in range(groups)])
    plain = np.arange(size)
    queries = (heads[:, None] * size + plain).ravel()
    keys = (kv_heads[:, None] * size + plain).ravel()
    values = (kv_heads[:, None] * size + within).ravel()
    mixed = (heads[:, None] * size + np.repeat(within, repeats, axis=0)).ravel()
    return queries, keys, values, mixed
