"""How tokens are chosen: the parameters of a request, and what a runtime declares of its steps.

Shape letters: B rows, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Array = Any
"""A NumPy array; this module imports the standard library alone, so the type has no name here."""

STEPS = (
    "logit_bias",
    "repetition",
    "presence",
    "frequency",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
)
"""What can be done to logits before a token is drawn, in the standard's own order."""
TIES = ("lowest-id", "all")
"""Of tokens as probable as the k-th: as many as k allows, those with the lowest ids; or all."""
SEEN = ("all", "generated")
"""The tokens that a penalty looks at: prompt and generated ones, or the generated ones alone."""


@dataclass(frozen=True, slots=True)
class SamplingPolicy:
    """What a runtime declares of its sampling, where runtimes differ and nobody is wrong."""

    order: tuple[str, ...] = STEPS
    """The steps that it has, in the order in which it takes them."""
    top_k_ties: str = TIES[0]
    repetition_sees: str = SEEN[0]
    presence_sees: str = SEEN[1]
    """What the presence and the frequency penalty look at."""
    last_tokens: int = 0
    """How many of the last tokens, prompt included, penalties look at; 0 for all of them."""

    def document(self) -> dict[str, Any]:
        """Return the policy as plain JSON values."""
        return {
            "order": list(self.order),
            "top_k_ties": self.top_k_ties,
            "repetition_sees": self.repetition_sees,
            "presence_sees": self.presence_sees,
            "last_tokens": self.last_tokens,
        }

    @classmethod
    def of(cls, document: Any) -> SamplingPolicy | None:
        """Return the policy of such a document; None where there is none."""
        if document is None:
            return None
        return cls(**{**document, "order": tuple(document["order"])})


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """What one request asks for; every default leaves the distribution as it is.

    The names and the meanings are those that runtimes share: Holtzman et al. 2020 for ``top_p``,
    Keskar et al. 2019 for ``repetition_penalty``.
    """

    temperature: float = 1.0
    """Logits are divided by it; 0 asks for the most probable token."""
    top_k: int = 0
    """How many tokens stay; 0, or more than there are, for all."""
    top_p: float = 1.0
    """The fewest tokens stay whose share reaches it, the one that crosses it included."""
    min_p: float = 0.0
    """Tokens stay whose share is at least this part of the most probable one's."""
    repetition_penalty: float = 1.0
    """Positive logits of tokens that were seen are divided by it, negative ones multiplied."""
    presence_penalty: float = 0.0
    """Taken from the logit of each token that was seen."""
    frequency_penalty: float = 0.0
    """Taken from the logit of a token once for each time that it was seen."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Token ids, and what is added to their logits."""


@dataclass(frozen=True, slots=True)
class SamplingCall:
    """The last logits of B rows with what was said before and what each row asks for."""

    logits_BV: Array
    """float32, whatever the type in which the model computes."""
    prompts: tuple[tuple[int, ...], ...]
    generated: tuple[tuple[int, ...], ...]
    parameters: tuple[SamplingParameters, ...]
