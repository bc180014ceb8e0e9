"""Faults of the operator RotaryEmbedding."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]

EVERY = ("ROPE-001", "ROPE-002", "ROPE-004", "ROPE-005", "ROPE-006", "ROPE-007")
"""Every requirement on the operator."""
AT_POSITIONS = ("ROPE-001", "ROPE-002", "ROPE-004", "ROPE-005", "ROPE-007")
"""Those whose calls give positions."""


def _with(call: OperatorCall, **inputs: Any) -> OperatorCall:
    return dataclasses.replace(call, inputs={**call.inputs, **inputs})


def _asked(call: OperatorCall, **attributes: Any) -> OperatorCall:
    return dataclasses.replace(call, attributes={**call.attributes, **attributes})


@mutant("operator RotaryEmbedding", kills=EVERY, bug="huggingface/transformers#47403")
def rotation_pairs_swapped(honest: Honest, call: OperatorCall) -> Any:
    """Halves are turned where neighbours are asked for, and the other way round."""
    return honest(_asked(call, interleaved=1 - call.attributes.get("interleaved", 0)))


@mutant("operator RotaryEmbedding", kills=(*EVERY, "EQUIV-011"), bug="generic")
def rotation_sign_flipped(honest: Honest, call: OperatorCall) -> Any:
    """Pairs are turned by minus the angle."""
    return honest(_with(call, sin_cache=-call.inputs["sin_cache"]))


def _at(honest: Honest, call: OperatorCall, move: Callable[[Any], Any]) -> Any:
    """Compute at other positions, where the call gives any."""
    if "position_ids" not in call.inputs:
        return honest(call)
    return honest(_with(call, position_ids=move(call.inputs["position_ids"])))


@mutant("operator RotaryEmbedding", kills=AT_POSITIONS, bug="unslothai/unsloth#3699")
def rotation_by_index(honest: Honest, call: OperatorCall) -> Any:
    """The index of a token in its row is taken for its position."""
    return _at(honest, call, lambda at: np.broadcast_to(np.arange(at.shape[1]), at.shape).copy())


@mutant("operator RotaryEmbedding", kills=AT_POSITIONS, bug="generic")
def rotation_of_the_first_row(honest: Honest, call: OperatorCall) -> Any:
    """All rows of a batch are turned by the positions of the first."""
    return _at(honest, call, lambda at: np.repeat(at[:1], len(at), axis=0))


@mutant("operator RotaryEmbedding", kills=("ROPE-002",), bug="generic")
def rotation_at_sixteen_bits(honest: Honest, call: OperatorCall) -> Any:
    """Positions are kept in sixteen bits, and begin again at 65536."""
    return _at(honest, call, lambda at: at % 65536)


@mutant("operator RotaryEmbedding", kills=("ROPE-002",), bug="ml-explore/mlx-lm#1076")
def rotation_at_float16(honest: Honest, call: OperatorCall) -> Any:
    """Positions are float16 numbers: above 2048 they are even, above 4096 multiples of four."""

    def narrow(at: Any) -> Any:
        return np.minimum(at, 65504).astype(np.float16).astype(at.dtype)

    return _at(honest, call, narrow)


@mutant(
    "operator RotaryEmbedding",
    kills=EVERY,
    bug="NVIDIA/TransformerEngine#1245",
    equivalent_at={"fp16": "The tables hold float16 numbers there."},
    below_noise_at=("bf16",),
)
def rotation_tables_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """The tables of cosines and sines are kept in float16."""
    tables = {name: call.inputs[name] for name in ("cos_cache", "sin_cache")}
    narrow = {n: t.astype(np.float16).astype(t.dtype) for n, t in tables.items()}
    return honest(_with(call, **narrow))


@mutant("operator RotaryEmbedding", kills=("ROPE-004",), bug="generic")
def rotation_of_the_last_channels(honest: Honest, call: OperatorCall) -> Any:
    """Where a part of each head is turned, it is the last part."""
    turned, x = call.attributes.get("rotary_embedding_dim", 0), call.inputs["X"]
    if not turned:
        return honest(call)
    kept = x.shape[-1] - turned
    y = honest(_with(call, X=np.roll(x, -kept, axis=-1)))["Y"]
    return {"Y": np.roll(y, kept, axis=-1)}


@mutant("operator RotaryEmbedding", kills=("ROPE-004",), bug="generic")
def rotation_drops_the_rest(honest: Honest, call: OperatorCall) -> Any:
    """Channels behind the turned ones are zero."""
    y = np.array(honest(call)["Y"])
    turned = call.attributes.get("rotary_embedding_dim", 0) or y.shape[-1]
    y[..., turned:] = 0
    return {"Y": y}


@mutant("operator RotaryEmbedding", kills=("ROPE-004",), bug="generic")
def rotation_adds_zero_to_the_rest(honest: Honest, call: OperatorCall) -> Any:
    """Channels behind the turned ones are turned by an angle of zero, which makes -0 a 0."""
    y = np.array(honest(call)["Y"])
    turned = call.attributes.get("rotary_embedding_dim", 0) or y.shape[-1]
    y[..., turned:] += y.dtype.type(0)
    return {"Y": y}


@mutant("operator RotaryEmbedding", kills=("ROPE-005",), bug="generic")
def rotation_splits_heads_backwards(honest: Honest, call: OperatorCall) -> Any:
    """Three dimensions are read as (B, T, K H): a head's channels lie apart."""
    x, heads = call.inputs["X"], call.attributes.get("num_heads", 0)
    if x.ndim == 4:
        return honest(call)
    batch, tokens, width = x.shape
    apart = x.reshape(batch, tokens, width // heads, heads).swapaxes(2, 3).reshape(x.shape)
    y = honest(_with(call, X=apart))["Y"].reshape(batch, tokens, heads, width // heads)
    return {"Y": y.swapaxes(2, 3).reshape(x.shape)}


@mutant("operator RotaryEmbedding", kills=("ROPE-005",), bug="generic")
def rotation_of_the_first_head(honest: Honest, call: OperatorCall) -> Any:
    """In three dimensions only the first head is turned."""
    y, x = np.array(honest(call)["Y"]), call.inputs["X"]
    if x.ndim == 3:
        head = x.shape[-1] // call.attributes["num_heads"]
        y[..., head:] = x[..., head:]
    return {"Y": y}


@mutant("operator RotaryEmbedding", kills=("ROPE-006",), bug="generic")
def rotation_by_phases_of_the_first_row(honest: Honest, call: OperatorCall) -> Any:
    """Phases that are given by token are read from the batch's first row."""
    if "position_ids" in call.inputs:
        return honest(call)
    tables = {name: call.inputs[name] for name in ("cos_cache", "sin_cache")}
    return honest(_with(call, **{n: np.repeat(t[:1], len(t), axis=0) for n, t in tables.items()}))


@mutant("operator RotaryEmbedding", kills=("ROPE-006",), bug="generic")
def rotation_by_phases_of_the_next_token(honest: Honest, call: OperatorCall) -> Any:
    """Phases that are given by token are off by one token."""
    if "position_ids" in call.inputs:
        return honest(call)
    tables = {name: call.inputs[name] for name in ("cos_cache", "sin_cache")}
    return honest(_with(call, **{n: np.roll(t, 1, axis=1) for n, t in tables.items()}))


@mutant("operator RotaryEmbedding", kills=("ROPE-004", "ROPE-007"), bug="generic")
def rotation_cleans_special_values(honest: Honest, call: OperatorCall) -> Any:
    """NaN and infinity are replaced by zero before the rotation."""
    x = call.inputs["X"]
    return honest(_with(call, X=np.where(_finite(x), x, x.dtype.type(0))))


def _finite(x: Any) -> Any:
    return np.isfinite(x.astype(np.float64))


@mutant("operator RotaryEmbedding", kills=("ROPE-004", "ROPE-007"), bug="generic")
def rotation_as_a_matrix_product(honest: Honest, call: OperatorCall) -> Any:
    """Each head is multiplied by a sparse matrix, whose zeros make NaN of NaN and of infinity."""
    y = np.array(honest(call)["Y"])
    y[~_finite(call.inputs["X"]).all(axis=-1)] = np.nan
    return {"Y": y}


@mutant(
    "operator RotaryEmbedding",
    kills=EVERY,
    bug="NVIDIA/TransformerEngine#1245",
    equivalent_at={"bf16": "Turned vectors are bfloat16 numbers there."},
)
def rotation_answered_in_bfloat16(honest: Honest, call: OperatorCall) -> Any:
    """The turned channels are rounded to bfloat16."""
    y = np.array(honest(call)["Y"])
    turned = call.attributes.get("rotary_embedding_dim", 0) or y.shape[-1]
    y[..., :turned] = y[..., :turned].astype(ml_dtypes.bfloat16).astype(y.dtype)
    return {"Y": y}


@mutant(
    "operator RotaryEmbedding",
    bug="generic",
    equivalent="The pair (b, a), turned by minus the angle, is the pair (a, b) turned by the angle "
    "and swapped: b cos + a sin and a cos - b sin.",
)
def rotation_of_swapped_halves(honest: Honest, call: OperatorCall) -> Any:
    """Where whole heads are turned by halves, the halves trade places and angles their sign."""
    x = call.inputs["X"]
    if x.ndim == 3 or any(call.attributes.get(n) for n in ("interleaved", "rotary_embedding_dim")):
        return honest(call)
    half = x.shape[-1] // 2
    swapped = _with(call, X=np.roll(x, half, axis=-1), sin_cache=-call.inputs["sin_cache"])
    return {"Y": np.roll(honest(swapped)["Y"], half, axis=-1)}
