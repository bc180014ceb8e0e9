"""The honest ensemble of an encoder: one function computed in many equal ways, and its noise.

As of a decoder (``oracles.ensemble``): hidden channels, feed-forward units, heads and the channels
within a head may each be permuted, which changes no value and every rounding. Without rotation the
channels of queries and keys may be permuted, too. What is answered in an order of its own, the
vector of a row and the vocabulary, stays in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.arithmetic import honest
from conformance.oracles.encoder.corpus import judged
from conformance.oracles.encoder.model import Encoder, weight_shapes
from conformance.oracles.ensemble import MEMBERS, Permuted, error_of, places, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from conformance.oracles.encoder.architecture import EncoderArchitecture
    from conformance.oracles.encoder.corpus import EncoderCorpus
    from conformance.records import Contract, NoiseUnit

    Array = NDArray[Any]
    Order = NDArray[np.int64]


def noise(
    truth: Encoder, corpus: EncoderCorpus, contract: Contract, *, seed: int = 0
) -> dict[str, NoiseUnit]:
    """Measure how far honest implementations of a contract are from fp64, by output.

    Args:
        truth: the encoder in fp64.
        corpus: the tokens; what the mask hides is not judged.
        contract: the claimed precision.
        seed: of the permutations.
    """
    expected = truth.encode(*corpus.inputs)
    masks = {name: judged(corpus.attention_mask_BT, name) for name in expected}
    errors: dict[str, list[tuple[float, float]]] = {name: [] for name in expected}
    for member, channels in honest_members(truth, contract, seed=seed):
        for name, answer in member.encode(*corpus.inputs).items():
            exact = expected[name][masks[name]]
            if name == "last_hidden_state":
                exact = exact[:, channels]
            errors[name].append(error_of(answer[masks[name]], exact))
    return {
        name: unit_of(found, int(masks[name].sum()), contract) for name, found in errors.items()
    }


def honest_members(
    truth: Encoder, contract: Contract, *, seed: int = 0
) -> Iterator[tuple[Encoder, Order]]:
    """Yield encoders that honestly compute what ``truth`` does, with the order of their channels.

    Args:
        truth: the encoder in fp64.
        contract: the claimed precision; each of its ways of computing is taken once.
        seed: of the permutations.
    """
    for member, way in zip(range(MEMBERS), honest(contract), strict=True):
        generator = np.random.Generator(np.random.Philox(key=[seed, member]))
        channels = generator.permutation(truth.architecture.dim)
        permuted = Permuted(truth.weights, _orders(truth.architecture, channels, generator))
        yield Encoder(truth.architecture, permuted, way), channels


def _orders(
    architecture: EncoderArchitecture, channels: Order, generator: np.random.Generator
) -> dict[str, Any]:
    """Say what an order of channels, and drawn ones of all else, mean for each weight."""
    stay, table = places(), places(columns=channels)
    orders = dict.fromkeys(weight_shapes(architecture), stay)
    orders |= {name: table for name in orders if name.endswith("_embeddings.weight")}
    orders |= {name: places(channels) for name in orders if "LayerNorm" in name}
    orders |= _dense("cls.predictions.transform.dense", channels, channels)
    orders["bert.pooler.dense.weight"] = table
    for i in range(architecture.layers):
        prefix = f"bert.encoder.layer.{i}"
        units = generator.permutation(architecture.hidden)
        scored, valued = _head_orders(architecture, generator)
        orders |= _dense(f"{prefix}.attention.self.query", scored, channels)
        orders |= _dense(f"{prefix}.attention.self.key", scored, channels)
        orders |= _dense(f"{prefix}.attention.self.value", valued, channels)
        orders |= _dense(f"{prefix}.attention.output.dense", channels, valued)
        orders |= _dense(f"{prefix}.intermediate.dense", units, channels)
        orders |= _dense(f"{prefix}.output.dense", channels, units)
    return {name: orders[name] for name in weight_shapes(architecture)}


def _dense(name: str, rows: Order, columns: Order) -> dict[str, Any]:
    return {f"{name}.weight": places(rows, columns), f"{name}.bias": places(rows)}


def _head_orders(
    architecture: EncoderArchitecture, generator: np.random.Generator
) -> tuple[Order, Order]:
    """Return an order of heads, with channels within them: of queries and keys, and of values."""
    size = architecture.dim // architecture.heads
    heads = generator.permutation(architecture.heads)
    within = np.stack([generator.permutation(size) for _ in range(2 * len(heads))])
    scored, valued = within.reshape(2, len(heads), size)
    return (heads[:, None] * size + scored).ravel(), (heads[:, None] * size + valued).ravel()
