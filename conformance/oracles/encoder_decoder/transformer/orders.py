"""What may be permuted of an original Transformer: channels, units, heads, channels within them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.oracles.encoder_decoder.transformer.architecture import weight_shapes
from conformance.oracles.ensemble import places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.encoder_decoder.transformer.architecture import (
        TransformerArchitecture,
    )

    Order = NDArray[np.int64]


def orders(
    architecture: TransformerArchitecture, channels: Order, generator: np.random.Generator
) -> dict[str, Any]:
    """Say what an order of channels, and drawn ones of all else, mean for each weight."""
    names = weight_shapes(architecture)
    found: dict[str, Any] = {name: places(channels) for name in names if "layer_norm" in name}
    found |= {"model.shared.weight": places(columns=channels), "final_logits_bias": places()}
    for side, stack in architecture.sides().items():
        for i in range(stack.layers):
            for name in stack.attentions:
                scored, valued = _heads(architecture.dim, stack.heads, generator)
                prefix = f"{side}.{i}.{name}"
                found |= _dense(f"{prefix}.q_proj", scored, channels)
                found |= _dense(f"{prefix}.k_proj", scored, channels)
                found |= _dense(f"{prefix}.v_proj", valued, channels)
                found |= _dense(f"{prefix}.out_proj", channels, valued)
            units = generator.permutation(stack.hidden)
            found |= _dense(f"{side}.{i}.fc1", units, channels)
            found |= _dense(f"{side}.{i}.fc2", channels, units)
    return {name: found[name] for name in names}


def _dense(name: str, rows: Order, columns: Order) -> dict[str, Any]:
    return {f"{name}.weight": places(rows, columns), f"{name}.bias": places(rows)}


def _heads(dim: int, count: int, generator: np.random.Generator) -> tuple[Order, Order]:
    """Return an order of heads, with channels within them: of queries and keys, and of values."""
    size, heads = dim // count, generator.permutation(count)
    within = np.stack([generator.permutation(size) for _ in range(2 * count)])
    scored, valued = within.reshape(2, count, size)
    return (heads[:, None] * size + scored).ravel(), (heads[:, None] * size + valued).ravel()
