"""Judgements: compare what a candidate answered with what an oracle says. Nothing runs a model.

Every judge records what it measured, whether or not it was within the limit, and raises
:class:`Nonconformity` when it was not. Comparisons are written ``not observed <= limit``, so that
NaN fails. No judge takes a bare tolerance: limits come from a noise unit and a precision contract,
or from a bound that the oracle derived for this very input.
"""

from conformance.judge.constants import same_frequencies, same_tensors
from conformance.judge.documents import accepted, follows_schema, unchanged
from conformance.judge.end_to_end import (
    free_of_faults,
    in_its_type,
    same_distribution,
    same_gain,
    same_loss,
    same_ranking,
)
from conformance.judge.equivalence import (
    Side,
    both_max_within_noise,
    both_within_bounds,
    both_within_noise,
    same_decisions,
)
from conformance.judge.generation import (
    chosen_by_closed_form,
    chosen_greedily,
    ends_as_asked,
    refused,
    same_logprobs,
    same_logprobs_of_text,
)
from conformance.judge.noise import max_within_noise, related, within_noise
from conformance.judge.sampling import (
    as_often,
    in_support,
    independent_rows,
    independent_seeds,
    independent_steps,
    over_seeds,
    same_shares,
)
from conformance.judge.text import (
    fits_model,
    ids_exist,
    none_special,
    offsets_in_place,
    same_facts,
    same_ids,
    same_offsets,
    same_texts,
)
from conformance.judge.trend import without_trend
from conformance.judge.values import (
    all_finite,
    all_zero,
    bitwise_equal,
    equals_closed_form,
    within_bounds,
)

__all__ = [
    "Side",
    "accepted",
    "all_finite",
    "all_zero",
    "as_often",
    "bitwise_equal",
    "both_max_within_noise",
    "both_within_bounds",
    "both_within_noise",
    "chosen_by_closed_form",
    "chosen_greedily",
    "ends_as_asked",
    "equals_closed_form",
    "fits_model",
    "follows_schema",
    "free_of_faults",
    "ids_exist",
    "in_its_type",
    "in_support",
    "independent_rows",
    "independent_seeds",
    "independent_steps",
    "max_within_noise",
    "none_special",
    "offsets_in_place",
    "over_seeds",
    "refused",
    "related",
    "same_decisions",
    "same_distribution",
    "same_facts",
    "same_frequencies",
    "same_gain",
    "same_ids",
    "same_logprobs",
    "same_logprobs_of_text",
    "same_loss",
    "same_offsets",
    "same_ranking",
    "same_shares",
    "same_tensors",
    "same_texts",
    "unchanged",
    "within_bounds",
    "within_noise",
    "without_trend",
]
