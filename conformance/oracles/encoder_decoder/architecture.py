"""What the oracle's encoder-decoder has to know of a model, read from Hugging Face's config.json.

A reader of its own, independent of the reference model's. Unknown keys and contradictions are found
when a package is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.oracles.encoder_decoder.corpus import FAR

if TYPE_CHECKING:
    from collections.abc import Mapping

_GATES = {"relu": None, "gated-gelu": "gelu_tanh", "gated-silu": "silu"}
"""By which function units are gated, by what the config says; GELU is its form with tanh."""


@dataclass(frozen=True, slots=True)
class EncoderDecoderArchitecture:
    """An encoder-decoder of T5's shape."""

    vocab: int
    dim: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    head_dim: int
    hidden: int
    buckets: int
    """Rows of the tables of distances."""
    max_distance: int
    gate: str | None
    """By which function units are gated, gelu_tanh or silu; they are ReLUs where it is None."""
    epsilon: float
    tied: bool
    """Whether the head is the embedding, and its input scaled by 1 / sqrt(dim)."""
    start: int
    """The token that a target begins with."""

    @property
    def reach(self) -> int:
        """Tokens of rows in which the last bucket is met."""
        return self.max_distance + FAR

    @property
    def relative(self) -> bool:
        """Whether only distances between places count: always."""
        return True

    @staticmethod
    def of(config: Mapping[str, Any]) -> EncoderDecoderArchitecture:
        """Read a configuration that was checked."""
        tied = config.get("scale_decoder_outputs", config.get("tie_word_embeddings", True))
        return EncoderDecoderArchitecture(
            vocab=config["vocab_size"],
            dim=config["d_model"],
            encoder_layers=config["num_layers"],
            decoder_layers=config["num_decoder_layers"],
            heads=config["num_heads"],
            head_dim=config["d_kv"],
            hidden=config["d_ff"],
            buckets=config["relative_attention_num_buckets"],
            max_distance=config.get("relative_attention_max_distance", 128),
            gate=_GATES[config.get("feed_forward_proj", "relu")],
            epsilon=float(config["layer_norm_epsilon"]),
            tied=tied,
            start=config["decoder_start_token_id"],
        )


def weight_shapes(architecture: EncoderDecoderArchitecture) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight, by the names of ``T5ForConditionalGeneration``."""
    a = architecture
    inner, units = a.heads * a.head_dim, ("wi_0", "wi_1") if a.gate else ("wi",)
    read = dict.fromkeys("qkv", (inner, a.dim)) | {"o": (a.dim, inner)}
    fed = dict.fromkeys(units, (a.hidden, a.dim)) | {"wo": (a.dim, a.hidden)}
    sides = {
        "encoder": (a.encoder_layers, {"SelfAttention": read, "DenseReluDense": fed}),
        "decoder": (
            a.decoder_layers,
            {"SelfAttention": read, "EncDecAttention": read, "DenseReluDense": fed},
        ),
    }
    shapes: dict[str, tuple[int, ...]] = {"shared.weight": (a.vocab, a.dim)}
    for side, (layers, parts) in sides.items():
        for i in range(layers):
            for place, (part, matrices) in enumerate(parts.items()):
                prefix = f"{side}.block.{i}.layer.{place}"
                shapes |= {f"{prefix}.{part}.{n}.weight": s for n, s in matrices.items()}
                shapes[f"{prefix}.layer_norm.weight"] = (a.dim,)
        shapes[table_of(side)] = (a.buckets, a.heads)
        shapes[f"{side}.final_layer_norm.weight"] = (a.dim,)
    return shapes if a.tied else {**shapes, "lm_head.weight": (a.vocab, a.dim)}


def table_of(side: str) -> str:
    """Return the name of a stack's table of distances: it stands in the first layer."""
    return f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
