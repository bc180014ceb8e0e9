"""Logits against closed forms, on the planted models. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import closed_forms, given
from conformance.oracles.closed_form import FORMS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedModel
    from conformance.oracles.closed_form import Answer

    Ints = NDArray[np.int64]

_BATCHES = 3
"""Each holds dozens of rows of logits, and all of them are told exactly."""


@requirement("CLOSED-001")
@given(_BATCHES, tokens_BT=closed_forms.reaching_rows)
def test_one_pass_gives_the_logits_of_the_closed_form(model: CheckedModel, tokens_BT: Ints) -> None:
    answer = _answer(model, tokens_BT, np.ones_like(tokens_BT))
    judge.equals_closed_form(model.logits(tokens_BT), answer)


@requirement("CLOSED-002")
@given(_BATCHES, tokens_BT=closed_forms.reaching_rows, mask_BT=closed_forms.any_padding)
def test_hidden_tokens_do_not_change_the_logits_of_the_closed_form(
    model: CheckedModel, tokens_BT: Ints, mask_BT: Ints
) -> None:
    judge.equals_closed_form(model.logits(tokens_BT, mask_BT), _answer(model, tokens_BT, mask_BT))


@requirement("CLOSED-003")
@given(
    _BATCHES,
    tokens_BT=closed_forms.reaching_rows,
    mask_BT=closed_forms.left_padding,
    places=closed_forms.late_splits,
)
def test_steps_through_the_cache_give_the_logits_of_the_closed_form(
    model: CheckedModel, tokens_BT: Ints, mask_BT: Ints, places: list[int]
) -> None:
    at_BT = np.maximum(np.cumsum(mask_BT, axis=1) - 1, 0)
    session = model.start(tokens_BT.shape[0])
    steps = [
        session.append(tokens_BT[:, start:end], mask_BT[:, :end].copy(), at_BT[:, start:end].copy())
        for start, end in zip([0, *places], [*places, tokens_BT.shape[1]], strict=True)
    ]
    judge.equals_closed_form(np.concatenate(steps, axis=1), _answer(model, tokens_BT, mask_BT))


def _answer(model: CheckedModel, tokens_BT: Ints, mask_BT: Ints) -> Answer:
    return FORMS[model.package.name].answer(tokens_BT, mask_BT, model.contract)
