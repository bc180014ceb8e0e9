"""Faults of the operator RotaryEmbedding."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import OperatorCall

    Honest = Callable[..., Any]


def _with(call: OperatorCall, **inputs: Any) -> OperatorCall:
    return dataclasses.replace(call, inputs={**call.inputs, **inputs})


@mutant(
    "operator RotaryEmbedding",
    kills=("ROPE-001", "ROPE-002"),
    bug="huggingface/transformers#47403",
)
def rotation_pairs_swapped(honest: Honest, call: OperatorCall) -> Any:
    """Halves are turned where neighbours are asked for, and the other way round."""
    interleaved = 1 - call.attributes.get("interleaved", 0)
    attributes = {**call.attributes, "interleaved": interleaved}
    return honest(dataclasses.replace(call, attributes=attributes))


@mutant("operator RotaryEmbedding", kills=("ROPE-001", "ROPE-002"), bug="generic")
def rotation_sign_flipped(honest: Honest, call: OperatorCall) -> Any:
    """Pairs are turned by minus the angle."""
    return honest(_with(call, sin_cache=-call.inputs["sin_cache"]))


@mutant("operator RotaryEmbedding", kills=("ROPE-001", "ROPE-002"), bug="unslothai/unsloth#3699")
def rotation_by_index(honest: Honest, call: OperatorCall) -> Any:
    """The index of a token in its row is taken for its position."""
    positions = call.inputs["position_ids"]
    index = np.broadcast_to(np.arange(positions.shape[1]), positions.shape)
    return honest(_with(call, position_ids=index.copy()))


@mutant("operator RotaryEmbedding", kills=("ROPE-001", "ROPE-002"), bug="generic")
def rotation_of_the_first_row(honest: Honest, call: OperatorCall) -> Any:
    """All rows of a batch are turned by the positions of the first."""
    positions = call.inputs["position_ids"]
    return honest(_with(call, position_ids=np.repeat(positions[:1], len(positions), axis=0)))


@mutant(
    "operator RotaryEmbedding",
    kills=("ROPE-001", "ROPE-002"),
    bug="NVIDIA/TransformerEngine#1245",
)
def rotation_tables_in_float16(honest: Honest, call: OperatorCall) -> Any:
    """The tables of cosines and sines are kept in float16."""
    tables = {name: call.inputs[name] for name in ("cos_cache", "sin_cache")}
    narrow = {n: t.astype(np.float16).astype(t.dtype) for n, t in tables.items()}
    return honest(_with(call, **narrow))
