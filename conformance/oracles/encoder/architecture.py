"""What the oracle's encoder has to know of a model, read from a Hugging Face ``config.json``.

A reader of its own, independent of the reference model's. Unknown keys and contradictions are found
when a package is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True)
class EncoderArchitecture:
    """An encoder of BERT's shape."""

    vocab: int
    types: int
    dim: int
    layers: int
    heads: int
    hidden: int
    max_positions: int
    epsilon: float
    pooler: bool
    head: bool

    @staticmethod
    def of(config: Mapping[str, Any], tensors: Collection[str]) -> EncoderArchitecture:
        """Read a configuration that was checked, and see from the tensors which parts there are."""
        return EncoderArchitecture(
            vocab=config["vocab_size"],
            types=config["type_vocab_size"],
            dim=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            hidden=config["intermediate_size"],
            max_positions=config["max_position_embeddings"],
            epsilon=float(config["layer_norm_eps"]),
            pooler="bert.pooler.dense.weight" in tensors,
            head="cls.predictions.bias" in tensors,
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what it answers."""
        there = {"last_hidden_state": True, "pooler_output": self.pooler, "logits": self.head}
        return tuple(name for name, has in there.items() if has)
