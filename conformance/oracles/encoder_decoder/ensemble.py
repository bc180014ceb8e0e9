"""The honest ensemble of an encoder-decoder: one function computed in many equal ways.

As of a decoder (``oracles.ensemble``): hidden channels, feed-forward units, heads and the channels
within a head may each be permuted, which changes no value and every rounding. The heads of a stack
stand in one order in all its layers, since they share a table; those that read the source are free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.arithmetic import honest
from conformance.oracles.encoder_decoder.architecture import table_of, weight_shapes
from conformance.oracles.encoder_decoder.model import HIDDEN, EncoderDecoder
from conformance.oracles.encoder_decoder.transformer import orders as transformer
from conformance.oracles.ensemble import MEMBERS, Permuted, error_of, places, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from conformance.oracles.encoder_decoder.architecture import EncoderDecoderArchitecture
    from conformance.oracles.encoder_decoder.corpus import EncoderDecoderCorpus
    from conformance.oracles.encoder_decoder.transformer.model import Transformer
    from conformance.records import Contract, NoiseUnit

    AnyEncoderDecoder = EncoderDecoder | Transformer
    Order = NDArray[np.int64]

_UNITS = ("wi", "wi_0", "wi_1")


def noise(
    truth: AnyEncoderDecoder, corpus: EncoderDecoderCorpus, contract: Contract, *, seed: int = 0
) -> dict[str, NoiseUnit]:
    """Measure how far honest implementations of a contract are from fp64, by output.

    Args:
        truth: the encoder-decoder in fp64.
        corpus: the tokens; what the mask hides of the source is not judged.
        contract: the claimed precision.
        seed: of the permutations.
    """
    expected = truth.decode(*corpus.inputs)
    masks = {name: corpus.judged(name) for name in expected}
    errors: dict[str, list[tuple[float, float]]] = {name: [] for name in expected}
    for member, channels in honest_members(truth, contract, seed=seed):
        for name, answer in member.decode(*corpus.inputs).items():
            exact = expected[name][masks[name]]
            exact = exact[:, channels] if name == HIDDEN else exact
            errors[name].append(error_of(answer[masks[name]], exact))
    return {
        name: unit_of(found, int(masks[name].sum()), contract) for name, found in errors.items()
    }


def honest_members(
    truth: AnyEncoderDecoder, contract: Contract, *, seed: int = 0
) -> Iterator[tuple[AnyEncoderDecoder, Order]]:
    """Yield models that honestly compute what ``truth`` does, with the order of their channels.

    Args:
        truth: the encoder-decoder in fp64.
        contract: the claimed precision; each of its ways of computing is taken once.
        seed: of the permutations.
    """
    for member, way in zip(range(MEMBERS), honest(contract), strict=True):
        generator = np.random.Generator(np.random.Philox(key=[seed, member]))
        channels = generator.permutation(truth.architecture.dim)
        if isinstance(truth, EncoderDecoder):
            orders = _orders(truth.architecture, channels, generator)
        else:
            orders = transformer.orders(truth.architecture, channels, generator)
        yield truth.member(Permuted(truth.weights, orders), way, channels), channels


def _orders(
    architecture: EncoderDecoderArchitecture, channels: Order, generator: np.random.Generator
) -> dict[str, Any]:
    """Say what an order of channels, and drawn ones of all else, mean for each weight."""
    names, size = weight_shapes(architecture), architecture.head_dim
    orders: dict[str, Any] = {name: places(columns=channels) for name in names}
    orders |= {name: places(channels) for name in names if "layer_norm" in name}
    sides = {"encoder": architecture.encoder_layers, "decoder": architecture.decoder_layers}
    for side, layers in sides.items():
        heads = generator.permutation(architecture.heads)
        orders[table_of(side)] = places(columns=heads)
        for i in range(layers):
            prefix = f"{side}.block.{i}.layer"
            orders |= _attention(f"{prefix}.0.SelfAttention", heads, size, channels, generator)
            if side == "decoder":
                free = generator.permutation(architecture.heads)
                orders |= _attention(f"{prefix}.1.EncDecAttention", free, size, channels, generator)
            units = generator.permutation(architecture.hidden)
            fed = f"{prefix}.{1 + (side == 'decoder')}.DenseReluDense"
            orders |= {f"{fed}.{name}.weight": places(units, channels) for name in _UNITS}
            orders[f"{fed}.wo.weight"] = places(channels, units)
    return {name: orders[name] for name in names}


def _attention(
    name: str, heads: Order, size: int, channels: Order, generator: np.random.Generator
) -> dict[str, Any]:
    """Draw an order of the channels within heads, one of what is scored and one of values."""
    within = np.stack([generator.permutation(size) for _ in range(2 * len(heads))])
    scored, valued = (
        (heads[:, None] * size + part).ravel() for part in within.reshape(2, len(heads), size)
    )
    orders = {f"{name}.{part}.weight": places(scored, channels) for part in "qk"}
    orders[f"{name}.v.weight"] = places(valued, channels)
    return {**orders, f"{name}.o.weight": places(channels, valued)}
