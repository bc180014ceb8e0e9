"""The honest ensemble: one function computed in many equal ways, and the noise that it gives.

A decoder has symmetries that change no value and every rounding: its hidden channels, feed-forward
units, key/value heads with their queries, query heads within a group and value channels may each
be permuted. Matrix products then add in another order, which stands for other kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from conformance.oracles.arithmetic import honest
from conformance.oracles.comparison import compare
from conformance.oracles.decoder import Decoder
from conformance.oracles.matched_filter import SURE, honest_interval
from conformance.oracles.shapes import weight_shapes
from conformance.records import NoiseUnit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from conformance.oracles.architecture import Architecture
    from conformance.oracles.corpus import Corpus
    from conformance.oracles.matched_filter import Interval
    from conformance.records import Contract

    Array = NDArray[Any]
    Order = NDArray[np.int64]

MEMBERS = 8
"""Members of an ensemble: one for each way of computing that a contract allows."""


def members(
    architecture: Architecture, weights: Mapping[str, Array], count: int, seed: int
) -> Iterator[Permuted]:
    """Yield ``count`` sets of weights of the same function."""
    for member in range(count):
        generator = np.random.Generator(np.random.Philox(key=[seed, member]))
        yield Permuted(weights, _orders(architecture, generator))


@dataclass(frozen=True, slots=True)
class Noise:
    """How far honest implementations of one model under one contract are from fp64, on a corpus."""

    unit: NoiseUnit
    """At the logits."""
    taps: Mapping[str, NoiseUnit]
    """After each layer, by the tap's name."""
    divergence: float
    """Median over the ensemble of the mean KL divergence from the exact distribution, in nats."""
    largest_divergence: float
    """Median over the ensemble of the largest divergence of a token."""
    loss: float
    """How far the mean loss may be off, in nats: an honest member's difference and, since members
    are few, certain many of its standard errors; the largest of the ensemble."""
    gain: Interval
    """How much of the exact logits themselves honest errors hold."""
    scale_N: tuple[float, ...]
    """Largest error of any member at each judged token."""


def noise(
    truth: Decoder,
    corpus: Corpus,
    contract: Contract,
    *,
    exact: tuple[Array, Mapping[str, Array]] | None = None,
    seed: int = 0,
) -> Noise:
    """Measure how far honest implementations of a contract are from fp64.

    The members go through the layers together, so that each layer is read once for all of them,
    and answer one after the other: beside the exact logits there are those of one member.

    Args:
        truth: the decoder in fp64.
        corpus: the tokens; positions whose mask is 0 are not judged.
        contract: the claimed precision.
        exact: what ``truth.outputs`` answers to the corpus, where that is known.
        seed: of the permutations.
    """
    expected_BTV, exact_taps = exact or truth.outputs(*corpus.inputs)
    judged_BT, members = corpus.judged_BT, [*honest_members(truth, contract, seed=seed)]
    tap_errors = []
    for name, streams in zip(exact_taps, _side_by_side(members, corpus), strict=True):
        exact_ND = exact_taps[name][judged_BT]
        tap_errors.append(
            [
                error_of(stream_BTD[judged_BT], exact_ND[:, channels])
                for stream_BTD, (_, channels) in zip(streams, members, strict=True)
            ]
        )
    found = [
        compare(member.head(stream_BTD), expected_BTV, corpus)
        for stream_BTD, (member, _) in zip(streams, members, strict=True)
    ]
    count = int(judged_BT.sum())
    return Noise(
        unit=unit_of([(one.rms, one.largest) for one in found], count, contract),
        taps={
            name: unit_of(errors, count, contract)
            for name, errors in zip(exact_taps, tap_errors, strict=True)
        },
        divergence=float(np.median([one.divergence for one in found])),
        largest_divergence=float(np.median([one.divergence_N.max() for one in found])),
        loss=max(abs(one.loss) + SURE * one.loss_error for one in found),
        gain=honest_interval([one.gain for one in found]),
        scale_N=tuple(np.max([one.largest_N for one in found], axis=0).tolist()),
    )


def unit_at(truth: Decoder, corpus: Corpus, places_N: Order, contract: Contract) -> NoiseUnit:
    """Return the noise unit of some tokens of a corpus alone; the others are not computed.

    Args:
        truth: the decoder in fp64.
        corpus: the tokens.
        places_N: which of each row, in ascending order.
        contract: the claimed precision.
    """
    exact_BNV = truth.logits_at(*corpus.inputs, places_N)
    errors = [
        error_of(member.logits_at(*corpus.inputs, places_N), exact_BNV)
        for member, _ in honest_members(truth, contract)
    ]
    return unit_of(errors, exact_BNV[..., 0].size, contract)


def _side_by_side(
    members: Sequence[tuple[Decoder, Order]], corpus: Corpus
) -> Iterator[tuple[Array, ...]]:
    """Yield the members' residual streams after each layer, a layer at a time."""
    passes = zip(*(member.layers(*corpus.inputs) for member, _ in members), strict=True)
    next(passes)  # the embedded tokens
    yield from passes


def honest_members(
    truth: Decoder, contract: Contract, *, seed: int = 0
) -> Iterator[tuple[Decoder, Order]]:
    """Yield decoders that honestly compute what ``truth`` does, with the order of their channels.

    Args:
        truth: the decoder in fp64.
        contract: the claimed precision; each of its ways of computing is taken once.
        seed: of the permutations.
    """
    ways = honest(contract)
    weights = members(truth.architecture, truth.weights, MEMBERS, seed)
    for way, permuted in zip(ways, weights, strict=True):
        yield Decoder(truth.architecture, permuted, way), permuted.channels


def unit_of(errors: Sequence[tuple[float, float]], positions: int, contract: Contract) -> NoiseUnit:
    """Return the noise unit of an ensemble: the median of its members' RMS and largest errors."""
    rms, largest = np.array(errors).T
    middle = float(np.median(rms))
    spread = float(np.max(np.abs(rms / middle - 1)))
    return NoiseUnit(
        middle, float(np.median(largest)), spread, len(errors), positions, contract.name
    )


def error_of(observed_ND: Array, expected_ND: Array) -> tuple[float, float]:
    """Return RMS and maximum of the error."""
    error = np.abs(observed_ND.astype(np.float64) - expected_ND)
    return float(np.sqrt(np.mean(error * error))), float(error.max())


@dataclass(frozen=True)
class _Order:
    """Which rows and columns of a weight stand where; None leaves them."""

    rows: Order | None = None
    columns: Order | None = None


def places(rows: Order | None = None, columns: Order | None = None) -> _Order:
    """Return which rows and columns of a weight stand where; None leaves them."""
    return _Order(rows, columns)


@dataclass(frozen=True)
class _Reordered:
    """A matrix in another order, made for as many of its rows as are read: no copy of all is."""

    weight: Array
    order: _Order

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weight.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.weight.dtype

    def __len__(self) -> int:
        return len(self.weight)

    def __getitem__(self, rows: slice | Order) -> Array:
        rows = rows if self.order.rows is None else self.order.rows[rows]
        chosen: Array = self.weight[rows]
        return chosen if self.order.columns is None else chosen.take(self.order.columns, axis=-1)

    def __array__(self, dtype: Any = None, **_: Any) -> Array:
        return self[:] if dtype is None else self[:].astype(dtype)


class Permuted(Mapping[str, "Array"]):
    """Weights that are permuted when they are read, matrices some rows at a time."""

    def __init__(self, weights: Mapping[str, Array], orders: Mapping[str, _Order]) -> None:
        self._weights, self._orders = weights, orders

    @property
    def channels(self) -> Order:
        """The order of the model's hidden channels: which of the original stands where."""
        channels = self._orders["model.norm.weight"].rows
        assert channels is not None
        return channels

    def __getitem__(self, name: str) -> Array:
        found = _Reordered(self._weights[name], self._orders[name])
        return found[:] if found.weight.ndim == 1 else cast("Array", found)

    def __contains__(self, name: object) -> bool:
        return name in self._orders  # without reading it

    def __iter__(self) -> Iterator[str]:
        return iter(self._orders)

    def __len__(self) -> int:
        return len(self._orders)


def _orders(architecture: Architecture, generator: np.random.Generator) -> dict[str, _Order]:
    """Draw an order of everything that may be permuted, and say what it means for each weight."""
    channels = generator.permutation(architecture.dim)
    vocabulary = _Order(columns=channels)
    orders = {name: vocabulary for name in weight_shapes(architecture) if "layers" not in name}
    orders |= {
        f"model.{name}.{kind}": _Order(rows=channels)
        for name in ("norm", "embed_norm")
        for kind in ("weight", "bias")
    }
    for i in range(architecture.layers):
        units = generator.permutation(architecture.hidden)
        queries, keys, values, mixed = _head_orders(architecture, generator)
        layer = {
            **{
                f"{name}_layernorm.{kind}": _Order(channels)
                for name in ("input", "post_attention", "pre_feedforward", "post_feedforward")
                for kind in ("weight", "bias")
            },
            "self_attn.q_proj.weight": _Order(queries, channels),
            "self_attn.k_proj.weight": _Order(keys, channels),
            "self_attn.v_proj.weight": _Order(values, channels),
            "self_attn.q_proj.bias": _Order(queries),
            "self_attn.k_proj.bias": _Order(keys),
            "self_attn.v_proj.bias": _Order(values),
            # All heads share these, and rotary embedding tells their channels apart.
            "self_attn.q_norm.weight": _Order(),
            "self_attn.k_norm.weight": _Order(),
            # A sink goes with its head, whose queries stand together.
            "self_attn.sinks": _Order(queries[:: architecture.head_dim] // architecture.head_dim),
            "self_attn.o_proj.weight": _Order(channels, mixed),
            "self_attn.o_proj.bias": _Order(channels),
            "mlp.gate_proj.bias": _Order(units),
            "mlp.up_proj.bias": _Order(units),
            "mlp.down_proj.bias": _Order(channels),
            "mlp.gate_proj.weight": _Order(units, channels),
            "mlp.up_proj.weight": _Order(units, channels),
            "mlp.down_proj.weight": _Order(channels, units),
        }
        layer |= _expert_orders(architecture, channels, generator)
        orders |= {f"model.layers.{i}.{name}": order for name, order in layer.items()}
    return {name: orders[name] for name in weight_shapes(architecture)}


def _expert_orders(
    architecture: Architecture, channels: Order, generator: np.random.Generator
) -> dict[str, _Order]:
    """Draw an order of each expert's units; the experts keep their numbers."""
    orders = {"mlp.gate.weight": _Order(columns=channels), "mlp.gate.bias": _Order()}
    orders["mlp.shared_expert_gate.weight"] = _Order(columns=channels)
    each = architecture.expert_hidden or architecture.hidden
    widths = {f"mlp.experts.{e}.": each for e in range(architecture.experts)}
    if architecture.shared_hidden:
        widths["mlp.shared_expert."] = architecture.shared_hidden
    for prefix, width in widths.items():
        units = generator.permutation(width)
        for name in ("gate_proj", "up_proj"):
            orders[f"{prefix}{name}.weight"] = _Order(units, channels)
            orders[f"{prefix}{name}.bias"] = _Order(units)
        orders[f"{prefix}down_proj.weight"] = _Order(channels, units)
        orders[f"{prefix}down_proj.bias"] = _Order(channels)
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
    if architecture.linear_bias:  # which tells heads apart
        kv_heads = np.arange(groups)
    heads = np.concatenate([head * repeats + generator.permutation(repeats) for head in kv_heads])
    within = np.stack([generator.permutation(size) for _ in range(groups)])
    plain = np.arange(size)
    queries = (heads[:, None] * size + plain).ravel()
    keys = (kv_heads[:, None] * size + plain).ravel()
    values = (kv_heads[:, None] * size + within).ravel()
    mixed = (heads[:, None] * size + np.repeat(within, repeats, axis=0)).ravel()
    return queries, keys, values, mixed
