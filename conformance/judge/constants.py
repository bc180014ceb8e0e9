"""Constants of a build against the tensors and the config it was made from. R rotated pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence, precision
from conformance.errors import Nonconformity
from conformance.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from conformance.oracles.rotations import Rotations
    from conformance.records import Contract

    Array = NDArray[Any]

_TOLD = 4
"""Tensors that are told one by one."""


def same_tensors(differing: Mapping[str, str], compared: int, unseen: Collection[str]) -> None:
    """Demand that no constant of a build differs from the tensor that it is.

    Args:
        differing: by tensor, how the build differs from it.
        compared: how many constants were compared.
        unseen: tensors that no constant is like; they are noted, since nothing is known of them.
    """
    if unseen:
        told = ", ".join([*unseen][:_TOLD])
        evidence.note(
            f"{len(unseen)} tensors were not compared, since no constant of the build is like "
            f"them (fused, folded or quantised): {told}{' and others' * (len(unseen) > _TOLD)}"
        )
    count = max(compared, len(differing))
    first = next(iter(differing), "")
    measured = Measurement("differing", float(len(differing)), 0.0, "constants", first, count)
    evidence.record(measured)
    if differing:
        raise Nonconformity(measured, _told(differing, count))


def _told(differing: Mapping[str, str], compared: int) -> str:
    texts = [f"{tensor}: {text}" for tensor, text in [*differing.items()][:_TOLD]]
    if len(differing) > max(_TOLD, compared // 2):
        texts = ["most weights differ, as those of another revision do", *texts]
    more = len(differing) - _TOLD
    return "; ".join(texts) + (f"; and {more} more" if more > 0 else "")


def same_frequencies(
    observed_R: Array, asked: Sequence[Rotations], contract: Contract, name: str
) -> None:
    """Demand that rotary frequencies are the config's but for the rounding of powers.

    Args:
        observed_R: a constant of the build.
        asked: what the config asks for; layers may differ, and the constant is one of them.
        contract: the claimed precision.
        name: the constant's name.
    """
    unit = precision.unit_roundoff(contract.phase)
    alike = [one for one in asked if one.each_R.size == observed_R.size]
    nearest = min(alike, key=lambda one: float(np.nanmax(_error(observed_R, one.each_R))))
    error_R = _error(observed_R, nearest.each_R) / unit
    worst = int(np.argmax(error_R))  # finds NaN first
    where, count = f"{name}[{worst}]", error_R.size
    measured = Measurement(
        "frequency", float(error_R[worst]), nearest.roundings, "roundings", where, count
    )
    evidence.record(measured)
    if not measured.observed <= measured.limit:
        raise Nonconformity(measured, _mistaken(observed_R, nearest, unit))


def _error(observed_R: Array, expected_R: Array) -> Array:
    return np.asarray(np.abs(observed_R / expected_R - 1))


def _mistaken(observed_R: Array, expected: Rotations, unit: float) -> str:
    """Return the mistake that makes just these frequencies, in words; empty where none does."""
    for text, other_R in expected.otherwise.items():
        if _error(observed_R, other_R).max() <= expected.roundings * unit:
            return text
    return ""
