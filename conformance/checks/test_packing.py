"""Several documents in one row. B batch, T tokens, V vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conformance import inputs, judge
from conformance.checks import requirement
from conformance.inputs import given, token_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedModel

    Ints = NDArray[np.int64]


@requirement("PACK-001")
@given(tokens_BT=token_batches(min_length=2), documents_BT=inputs.documents)
def test_documents_in_one_row_give_the_logits_of_each_alone(
    model: CheckedModel, tokens_BT: Ints, documents_BT: Ints
) -> None:
    at_BT = np.stack([_anew(documents_T) for documents_T in documents_BT])
    observed_BTV = model.packed(tokens_BT, documents_BT, at_BT)
    for row, documents_T in enumerate(documents_BT):
        for number in range(1, documents_T.max() + 1):
            own_T = documents_T == number
            expected_1TV = model.expected(tokens_BT[row, own_T][None])
            found_1TV = observed_BTV[row, own_T][None]
            judge.max_within_noise(found_1TV, expected_1TV, model.noise, model.contract)


def _anew(documents_T: Ints) -> Ints:
    """Return positions that count from 0 in each document, and in the padding."""
    place_T = np.arange(len(documents_T))
    begins_T = np.diff(documents_T, prepend=-1) != 0
    anew_T: Ints = place_T - np.maximum.accumulate(np.where(begins_T, place_T, 0))
    return anew_T
