"""What the oracle's original Transformer has to know of a model, read from Marian's config.json.

A reader of its own, independent of the reference model's. Unknown keys and contradictions are found
when a package is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

EPSILON = 1e-5
"""Of every norm; no file names another."""
_ACTIVATIONS = {"relu": "relu", "swish": "silu", "silu": "silu"}
PARTS = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True, slots=True)
class Stack:
    """One side; ``attentions`` are the names of what its layers read by."""

    attentions: tuple[str, ...]
    layers: int
    heads: int
    hidden: int


@dataclass(frozen=True, slots=True)
class TransformerArchitecture:
    """An encoder-decoder of Vaswani et al. 2017; the head is the embedding."""

    vocab: int
    dim: int
    encoder: Stack
    decoder: Stack
    activation: str
    """Of the units: relu or silu."""
    max_positions: int
    start: int
    """The token that a target begins with."""

    @property
    def reach(self) -> int:
        """Tokens of rows that take all positions there are."""
        return self.max_positions

    @property
    def relative(self) -> bool:
        """Whether only distances between places count: never."""
        return False

    @staticmethod
    def of(config: Mapping[str, Any]) -> TransformerArchitecture:
        """Read a configuration that was checked."""
        sizes = {
            side: tuple(config[f"{side}_{n}"] for n in ("layers", "attention_heads", "ffn_dim"))
            for side in ("encoder", "decoder")
        }
        return TransformerArchitecture(
            vocab=config["vocab_size"],
            dim=config["d_model"],
            encoder=Stack(("self_attn",), *sizes["encoder"]),
            decoder=Stack(("self_attn", "encoder_attn"), *sizes["decoder"]),
            activation=_ACTIVATIONS[config["activation_function"]],
            max_positions=config["max_position_embeddings"],
            start=config["decoder_start_token_id"],
        )

    def sides(self) -> dict[str, Stack]:
        """Return both stacks by what the names of their layers begin with."""
        return {"model.encoder.layers": self.encoder, "model.decoder.layers": self.decoder}


def weight_shapes(architecture: TransformerArchitecture) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight, by the names of ``MarianMTModel``."""
    dim = architecture.dim
    shapes: dict[str, tuple[int, ...]] = {"model.shared.weight": (architecture.vocab, dim)}
    for side, stack in architecture.sides().items():
        matrices = {f"{name}.{part}": (dim, dim) for name in stack.attentions for part in PARTS}
        matrices |= {"fc1": (stack.hidden, dim), "fc2": (dim, stack.hidden)}
        norms = [*(f"{name}_layer_norm" for name in stack.attentions), "final_layer_norm"]
        for i in range(stack.layers):
            for name, shape in matrices.items():
                shapes[f"{side}.{i}.{name}.weight"] = shape
                shapes[f"{side}.{i}.{name}.bias"] = shape[:1]
            for name in norms:
                shapes[f"{side}.{i}.{name}.weight"] = shapes[f"{side}.{i}.{name}.bias"] = (dim,)
    return {**shapes, "final_logits_bias": (1, architecture.vocab)}
