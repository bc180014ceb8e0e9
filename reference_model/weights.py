"""Seeded conformance weights: the same bytes on every machine, designed so that faults show.

Usual initial weights (normal, 0.02) hide whole mechanisms: attention is then uniform, and a model
without rotary embedding gives the same logits. Here the attention scores spread, every block moves
the residual stream, norm weights differ from 1 and from each other, and the residual stream is as
small as in trained models, so that RMSNorm's epsilon counts. Nothing here is trained.

Randomness is NumPy's Philox ``random_raw``, whose stream NumPy promises not to change, and integer
arithmetic; one product in float64 and one rounding to float32 follow. So no mathematical library
has a say. Each tensor has a stream of its own, keyed by seed and name: order never matters.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reference_model import layout, routed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from reference_model.config import ModelConfig

    Raw = NDArray[np.uint64]
    Weights = Mapping[str, NDArray[Any]]

_NORM_MEAN_SQUARE = 13 / 12  # of a uniform number between 0.5 and 1.5
_HEAD_NORMS = ("q_norm", "k_norm")
_RUNGS = 20
"""Rungs of the ladder of margins; the smallest is 2**-20 of a row's deviation."""
_OUTLIER_MEAN_SQUARE = 102.0  # of a factor drawn from 8, 9, 10, 11, 12


@dataclass(frozen=True, slots=True)
class Design:
    """The magnitudes that the weights aim at; standard deviations unless said otherwise.

    They hold for inputs that are independent of the weights, so they are aims and not promises.
    """

    embedding: float = 0.08
    """Of the embedding's entries. Small, as in trained models: RMSNorm's epsilon then counts."""
    block: float = 0.12
    """Of what attention, and again the feed-forward, adds to the residual stream."""
    score: float = 3.0
    """Of the attention scores: sharp enough that positions, heads and scale matter."""
    gate: float = 1.5
    """Of the input of the activation function: both of its tails are used."""
    bias: float = 0.5
    """Of a bias, as a share of the deviation of what it is added to."""
    sink: float = 1.5
    """Of a head's sink, as a share of the scores' deviation: far apart, so that some heads give
    much of their weight away, and others none."""
    logit: float = 3.0
    """Of the logits."""
    outliers: int = 0
    """Channels per norm whose weight is multiplied by 8 to 12, as is seen in trained models."""
    ladder: bool = False
    """Whether the head's rows stand in pairs that differ little, each pair twice as much as the
    one before. Where such a pair leads, the margin of the most probable token is as small: margins
    come in all sizes, and those that are lost tell how precisely the head computes."""


def make_weights(
    config: ModelConfig, seed: int, design: Design | None = None
) -> dict[str, NDArray[np.float32]]:
    """Return every tensor of a decoder, float32, in canonical order.

    Args:
        config: the decoder.
        seed: any integer; models with different seeds share no stream.
        design: the magnitudes to aim at; the defaults of ``Design`` where it is not given.
    """
    design = design or Design()
    deviations = _deviations(config, design)
    weights = {}
    for name, shape in layout.tensor_shapes(config).items():
        kind = name.split(".")[-2]
        if name.endswith(".sinks"):
            weights[name] = normal(stream_of(seed, name), shape, design.sink * design.score)
        elif name.endswith(".bias"):
            weights[name] = normal(stream_of(seed, name), shape, deviations[f"{kind}.bias"])
        elif len(shape) == 1:
            outliers = 0 if kind in _HEAD_NORMS else design.outliers
            gain = norm_weight(stream_of(seed, name), shape[0], deviations[kind], outliers)
            weights[name] = gain - np.float32(config.norm.offset) if config.norm.offset else gain
        else:
            aim = deviations[kind]
            if kind == "down_proj":  # experts may be of other widths than the layers without
                aim *= math.sqrt(config.mlp.hidden / shape[1])
            weights[name] = normal(stream_of(seed, name), shape, aim)
    if config.mlp.experts is not None:
        draws_V = stream_of(seed, "the experts of each token").random_raw(config.vocab)
        routed.decide(weights, config, draws_V)
    if design.ladder:
        weights[layout.HEAD] = _ladder(weights[layout.HEAD])
    return weights


def digest(weights: Weights) -> str:
    """Return the SHA-256 of names, types, shapes and little-endian bytes, in the mapping's order.

    ``make_weights`` and ``huggingface.open_folder`` give the canonical order.
    """
    state = hashlib.sha256()
    for name, tensor in weights.items():
        state.update(f"{name} {tensor.dtype.name} {list(tensor.shape)}\n".encode())
        state.update(_little_endian(tensor))
    return state.hexdigest()


def _deviations(config: ModelConfig, design: Design) -> dict[str, float]:
    """Return each kind of matrix's standard deviation, and each kind of norm's gain.

    A product with n independent inputs of mean square m has the deviation sqrt(n m) times the
    weights' own; each line solves that for the weights.
    """
    dim, attention = config.dim, config.attention
    inputs = math.sqrt(
        _NORM_MEAN_SQUARE * (dim - design.outliers + design.outliers * _OUTLIER_MEAN_SQUARE)
    )
    queries = attention.heads * attention.head_dim
    # A score q.k / sqrt(K) adds K products of a query's and a key's entry: it deviates by their
    # deviations' product, which is shared fairly between the two.
    score = math.sqrt(design.score)
    # Normalised heads have the deviation of their norm's weights, whatever the projections do:
    # those are as small as the embedding, so that the norm's epsilon counts.
    projected = design.embedding if attention.qk_norm else score
    added = design.block / math.sqrt(_NORM_MEAN_SQUARE)
    # Sharp attention averages over few keys, and a gated unit is about half open: the averages
    # 0.7 and 0.6 * gate were measured on the suite's models.
    head = design.embedding if config.tied else design.logit / inputs
    # A tied head has the embedding's size, so the final norm has to bring the logits' size.
    final = design.logit / (design.embedding * inputs) if config.tied else 1.0
    # Units without a gate are what the activation acts on; 0.7 is GELU's and ReLU's average.
    unit, mean = (1.0, 0.6) if config.mlp.gated else (design.gate, 0.7)
    return {
        "embed_tokens": design.embedding,
        "embed_positions": design.embedding,
        "embed_norm": design.embedding / math.sqrt(_NORM_MEAN_SQUARE),
        "embed_norm.bias": design.bias * design.embedding,
        "input_layernorm": 1.0,
        "q_proj": projected / inputs,
        "k_proj": projected / inputs,
        "v_proj": 1.0 / inputs,
        "q_proj.bias": design.bias * projected,
        "k_proj.bias": design.bias * projected,
        "v_proj.bias": design.bias,
        "q_norm": score / math.sqrt(_NORM_MEAN_SQUARE),
        "k_norm": score / math.sqrt(_NORM_MEAN_SQUARE),
        "o_proj": design.block / (0.7 * math.sqrt(queries)),
        "o_proj.bias": design.bias * design.block,
        # Behind attention or feed-forward, a norm alone says what is added to the stream.
        "post_attention_layernorm": added if config.post_norms else 1.0,
        "pre_feedforward_layernorm": 1.0,
        "post_feedforward_layernorm": added,
        "gate": 1.0 / inputs,
        "gate.bias": design.bias,
        "shared_expert_gate": 3.0 / inputs,
        "gate_proj": design.gate / inputs,
        "up_proj": unit / inputs,
        "down_proj": design.block / (mean * design.gate * math.sqrt(config.mlp.hidden)),
        "norm": final,
        "lm_head": head,
        "gate_proj.bias": design.bias * design.gate,
        "up_proj.bias": design.bias * unit,
        "down_proj.bias": design.bias * design.block,
        **{f"{name}.bias": design.bias for name in ("input_layernorm", "post_attention_layernorm")},
        "norm.bias": design.bias * final,
    }


def stream_of(seed: int, name: str) -> np.random.Philox:
    """Return the random stream of a tensor: of its own, whatever other tensors there are."""
    key = hashlib.sha256(f"{seed}:{name}".encode()).digest()[:16]
    return np.random.Philox(key=int.from_bytes(key, "little"))


def normal(
    stream: np.random.Philox, shape: tuple[int, ...], deviation: float
) -> NDArray[np.float32]:
    """Return nearly normal numbers: each the exact sum of twelve 16-bit integers (Irwin-Hall).

    Twelve uniform numbers from 0 to 2**16 - 1 have a sum of mean 393210 and of deviation 2**16
    (less one part in 2**33).
    """
    count = math.prod(shape)
    raw_N3: Raw = stream.random_raw(3 * count).reshape(count, 3)
    total_N = np.zeros(count, np.int64)
    for shift in (0, 16, 32, 48):
        fields_N3 = (raw_N3 >> np.uint64(shift)) & np.uint64(0xFFFF)
        total_N += fields_N3.astype(np.int64).sum(axis=1)
    centred_N = (total_N - 393210).astype(np.float64)  # exact: below 2**53
    scaled: NDArray[np.float32] = (centred_N * (deviation / 65536)).astype(np.float32)
    return scaled.reshape(shape)


def norm_weight(
    stream: np.random.Philox, dim: int, gain: float, outliers: int
) -> NDArray[np.float32]:
    """Return norm weights: uniform between 0.5 and 1.5 times ``gain``, with outlier channels."""
    raw_D: Raw = stream.random_raw(dim)
    value_D = (raw_D >> np.uint64(32)).astype(np.int64) + 2**31  # of 2**32
    # The channels with the largest low halves: a choice without repetition, and independent of
    # the values, which come from the high halves.
    chosen = np.argsort(raw_D & np.uint64(0xFFFFFFFF), kind="stable")[::-1][:outliers]
    value_D[chosen] *= 8 + (stream.random_raw(outliers) % np.uint64(5)).astype(np.int64)
    scaled: NDArray[np.float32] = (value_D.astype(np.float64) * (gain / 2**32)).astype(np.float32)
    return scaled


def _ladder(head_VD: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a head with each odd row near the even one before: from 2**-20 of a row to a half."""
    near_D, far_D = head_VD[::2].astype(np.float64), head_VD[1::2].astype(np.float64)
    rungs = -_RUNGS + np.arange(len(far_D)) % _RUNGS
    head_VD[1::2] = (near_D[: len(far_D)] + np.ldexp(far_D, rungs[:, None])).astype(np.float32)
    return head_VD


def _little_endian(tensor: NDArray[Any]) -> bytes:
    ordered = np.ascontiguousarray(tensor)
    if ordered.dtype.kind == "V":  # bfloat16 of ml_dtypes is a registered void type
        return ordered.view(np.uint16).astype("<u2").tobytes()
    return ordered.astype(ordered.dtype.newbyteorder("<")).tobytes()
