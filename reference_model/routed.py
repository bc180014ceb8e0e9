"""Weights of a mixture's model whose routers decide, whatever rounds: no token is near a tie.

Where the last expert that is chosen and the first that is not have almost the same score, honest
implementations choose differently, and their logits differ by far more than noise: such a model
would tell nothing of who is right. So the router reads channels of its own, one for each expert.
The embedding writes each token's ranking of the experts there, in levels that are equally far
apart; no layer writes to them, and a norm scales all of them alike. A score is then level / rms:
the last chosen and the first left out differ by a level, at any token, in any context, and with six
experts each of the two scores would have to err by a fifth of the largest to change places. The
shares depend on the context by the rms, and the experts' answers by everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from reference_model.config import ModelConfig

    Weights = dict[str, NDArray[np.float32]]

LEVEL = 2.0**-3
"""Half the distance between two levels in the stream, in whose size it is."""
GAIN = 0.625
"""Of the router: what turns channels of a normalised stream into scores."""
BIAS = 2.0**-6
"""Of the router's bias, half the distance between two of its levels: it moves shares, and is too
small to change who is chosen."""


def decide(weights: Weights, config: ModelConfig, draws_V: NDArray[np.uint64]) -> None:
    """Make the routers of a mixture decide, in place.

    Args:
        weights: the tensors of a decoder, float32.
        config: the decoder, a mixture.
        draws_V: a random number for each token, which orders the experts.
    """
    experts = config.mlp.experts
    assert experts is not None
    count = experts.count
    levels = LEVEL * (count - 1 - 2 * np.arange(count))
    for token, draw in enumerate(draws_V):
        weights["model.embed_tokens.weight"][token, :count] = levels[_order(int(draw), count)]
    for layer in range(config.layers):
        prefix = f"model.layers.{layer}."
        weights[f"{prefix}post_attention_layernorm.weight"][:count] = 1
        for name in _ways_back(prefix, layer, config):
            weights[name][:count] = 0
        if layer in experts.dense_layers:
            continue
        router = weights[f"{prefix}mlp.gate.weight"]
        router[:] = 0
        # Each layer ranks by other experts: expert e reads channel e + layer, around.
        router[np.arange(count), (np.arange(count) + layer) % count] = GAIN
        if experts.bias:
            ranks = (5 * np.arange(count) + layer) % count
            weights[f"{prefix}mlp.gate.bias"][:] = BIAS * (count - 1 - 2 * ranks)


def _ways_back(prefix: str, layer: int, config: ModelConfig) -> Iterator[str]:
    """Yield the tensors that write to the stream: of each, a row is of one channel."""
    kinds, experts = ("weight", "bias"), config.mlp.experts_of(layer)
    ways = ["mlp.down_proj"]
    if experts is not None:
        ways = [f"mlp.experts.{e}.down_proj" for e in range(experts.count)]
        ways += ["mlp.shared_expert.down_proj"] if experts.shared else []
    yield from (f"{prefix}self_attn.o_proj.{k}" for k in kinds[: 1 + config.attention.out_bias])
    yield from (f"{prefix}{way}.{k}" for way in ways for k in kinds[: 1 + config.mlp.bias])


def _order(draw: int, count: int) -> list[int]:
    """Return one of the orders of ``count`` things, by a number's remainders (Lehmer)."""
    left, found = list(range(count)), []
    for size in range(count, 0, -1):
        draw, place = divmod(draw, size)
        found.append(left.pop(place))
    return found
