"""Rotary position embedding. B batch, T tokens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from conformance import inputs, judge
from conformance.checks import requirement
from conformance.inputs import given, token_batches
from conformance.inputs.operators.rotary import rotations

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from conformance.checked import CheckedModel, CheckedOperators
    from conformance.records import OperatorCall

    Ints = NDArray[np.int64]


@requirement("ROPE-001")
@pytest.mark.parametrize("interleaved", [False, True], ids=["half", "interleaved"])
@given(call=rotations)
def test_pairs_turn_by_the_angle(
    operators: CheckedOperators,
    interleaved: bool,  # noqa: FBT001  # a parameter of the case
    call: OperatorCall,
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-002")
@given(call=partial(rotations, interleaved=False))
def test_the_angle_follows_the_given_position(
    operators: CheckedOperators, call: OperatorCall
) -> None:
    judge.within_bounds(operators.compute(call), operators.expected(call))


@requirement("ROPE-003")
@given(tokens_BT=token_batches(min_length=2), at_BT=inputs.position_gaps)
def test_logits_follow_the_given_positions(
    model: CheckedModel, tokens_BT: Ints, at_BT: Ints
) -> None:
    observed = model.logits(tokens_BT, at_BT=at_BT)
    expected = model.expected(tokens_BT, at_BT=at_BT)
    judge.max_within_noise(observed, expected, model.noise, model.contract)
