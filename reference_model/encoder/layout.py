"""The tensors of an encoder: Hugging Face's names and shapes, in the one canonical order.

As ``BertForMaskedLM`` writes them, the pooler of ``BertModel`` between. The output layer of the
masked-token head is the word embedding, so that only its bias is a tensor of its own. Dense layers
are stored (out, in). Nothing here holds values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reference_model.encoder.config import EncoderConfig

WORDS = "bert.embeddings.word_embeddings.weight"
OUTPUT_BIAS = "cls.predictions.bias"


def tensor_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Return every tensor's shape by name, from the embeddings to the output bias."""
    dim = config.dim
    shapes: dict[str, tuple[int, ...]] = {
        WORDS: (config.vocab, dim),
        "bert.embeddings.position_embeddings.weight": (config.max_positions, dim),
        "bert.embeddings.token_type_embeddings.weight": (config.types, dim),
        **_norm("bert.embeddings.LayerNorm", dim),
    }
    for layer in range(config.layers):
        prefix = f"bert.encoder.layer.{layer}."
        for name in ("query", "key", "value"):
            shapes |= _dense(f"{prefix}attention.self.{name}", dim, dim)
        shapes |= _dense(f"{prefix}attention.output.dense", dim, dim)
        shapes |= _norm(f"{prefix}attention.output.LayerNorm", dim)
        shapes |= _dense(f"{prefix}intermediate.dense", config.hidden, dim)
        shapes |= _dense(f"{prefix}output.dense", dim, config.hidden)
        shapes |= _norm(f"{prefix}output.LayerNorm", dim)
    if config.pooler:
        shapes |= _dense("bert.pooler.dense", dim, dim)
    if config.head:
        shapes |= _dense("cls.predictions.transform.dense", dim, dim)
        shapes |= _norm("cls.predictions.transform.LayerNorm", dim)
        shapes[OUTPUT_BIAS] = (config.vocab,)
    return shapes


def _dense(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str, dim: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}
