"""What the known faults do to a model's logits, and how much of each a candidate has.

The mutants of the decoder are run in fp64, so that a fault's direction is known exactly; the
matched filter then tells how much of it a candidate's error holds, far below the rounding noise.
Shape letters: B batch, T tokens, N judged tokens, V vocabulary.
"""

from __future__ import annotations

import functools
import hashlib
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import candidate as candidates
from conformance import evidence, models, mutants
from conformance.adapters import mutant as faulty_candidates
from conformance.oracles import ensemble, matched_filter
from conformance.oracles.matched_filter import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from conformance.checked import CheckedModel
    from conformance.mutants import Mutant
    from conformance.oracles.corpus import Corpus
    from conformance.oracles.decoder import Decoder
    from conformance.oracles.matched_filter import Strength
    from conformance.package import ModelPackage

    Array = NDArray[Any]

HALF = 0.5
"""A fault counts as present from this strength on, and as resolved if honest ones stay below."""
_LONGER = 7
"""How much longer the corpus is on which faults are looked for that the frozen one leaves open."""
_NOTHING = 1e-10
"""Below this share of the largest logit an effect is the rounding of fp64."""
_ELSEWHERE = (
    *mutants.SESSION,
    *("info", "load", "graph", "generate", "generation", "process", "draw"),
    *("packed_logits", "within_documents"),
    *("encoder", "encode_tokens"),
    *("encoder_decoder", "transformer", "decode_tokens", *mutants.TARGET),
    *("tokenizer", "word_level", *mutants.TEXT),
)
"""What mutants replace that the logits of one pass do not show, or not in fp64."""

_memory: ContextVar[Path | None] = ContextVar("llm_conformance_faults", default=None)


@contextmanager
def remembered(folder: Path) -> Iterator[None]:
    """Keep what faults and honest members answer in a folder, for who asks it of many candidates.

    A run asks once, and would only fill the disk: of each fault it is all logits of a corpus.
    """
    token = _memory.set(folder)
    try:
        yield
    finally:
        _memory.reset(token)


def _kept(name: str, make: Callable[[], Array]) -> Array:
    """Return an array that is made, or read from the folder where it has been made before."""
    folder = _memory.get()
    if folder is None:
        return make()
    file = folder / f"{name}.npy"
    if not file.exists():
        np.save(file, make())
    kept: Array = np.load(file, mmap_mode="r")
    return kept


@dataclass(frozen=True)
class Effect:
    """What a fault makes of the logits, in fp64."""

    mutant: Mutant
    logits_BTV: Array


@dataclass(frozen=True, slots=True)
class Presence:
    """How much of one fault a candidate has."""

    mutant: Mutant
    strength: Strength
    honest: Interval

    @property
    def resolved(self) -> bool:
        """Whether half of the fault could be told from rounding, at this precision and length."""
        return self.honest.reach + matched_filter.SURE * self.strength.error < HALF

    @property
    def tokens_needed(self) -> int | None:
        """How many tokens would resolve it; None where more tokens would not: honest ones have it.

        The spread of honest strengths shrinks with more tokens, their bias does not.
        """
        middle = abs(self.honest.low + self.honest.high) / 2
        room = HALF - middle
        spread = self.honest.reach - middle + matched_filter.SURE * self.strength.error
        if room <= 0:
            return None
        return int(np.ceil(self.strength.tokens * (spread / room) ** 2))

    @property
    def unresolved(self) -> str:
        """What could not be told of it, in words."""
        needed = self.tokens_needed
        more = f"{needed} tokens would be needed" if needed else "more tokens would not help"
        return (
            f"{self.mutant.name} cannot be told from rounding at this precision: honest candidates "
            f"have {self.honest.low:.2g} to {self.honest.high:.2g} of it, this one "
            f"{self.strength.value:.2g}, on {self.strength.tokens} tokens; {more}"
        )


def of_the_decoder() -> list[Mutant]:
    """Return the mutants whose fault shows in the logits of one pass."""
    known = mutants.all_mutants().values()
    there = (m for m in known if not m.equivalent and m.operator is None)
    return [m for m in there if m.replaces.partition(".")[0] not in _ELSEWHERE]


def effects(
    package: ModelPackage, corpus: Corpus, chosen: Collection[Mutant] | None = None
) -> Iterator[Effect]:
    """Yield what each fault makes of a corpus's logits; one that makes nothing comparable is not.

    Nor is one that the model never comes upon.

    Args:
        package: the model.
        corpus: the tokens.
        chosen: the faults; None for all of the decoder.
    """
    import torch  # noqa: PLC0415  # a verifier has none, and asks for no effects

    shape = (*corpus.input_ids_BT.shape, package.sizes["vocab_size"])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on models this small, more threads mostly wait for each other
    try:
        known = of_the_decoder() if chosen is None else chosen
        for mutant in faulty_candidates.met(known, package, corpus.inputs):
            name = f"{package.digest[:16]}-{len(corpus.input_ids_BT)}-{mutant.name}"
            logits_BTV = _kept(name, functools.partial(_answer, mutant, package, corpus))
            if logits_BTV.shape == shape and np.isfinite(logits_BTV).all():
                yield Effect(mutant, logits_BTV.astype(np.float64))
    finally:
        torch.set_num_threads(threads)


@evidence.time_of("oracle")
def _answer(mutant: Mutant, package: ModelPackage, corpus: Corpus) -> Array:
    with candidates.open_candidate(f"mutant:{mutant.name}?dtype=float64") as faulty:
        answer: Array = faulty.load(package).logits(*corpus.inputs)
    return answer


def presences(model: CheckedModel) -> list[Presence]:
    """Return how much of each known fault a candidate's model has.

    Faults that the frozen corpus leaves open are looked for again on a longer one.
    """
    short = model.corpus
    found = list(_presences(model, short, of_the_decoder()))
    open_ones = [one.mutant for one in found if not one.resolved]
    again = {}
    if open_ones:
        longer = models.frozen_corpus(model.package, times=_LONGER)
        again = {one.mutant.name: one for one in _presences(model, longer, open_ones)}
    return [again.get(one.mutant.name, one) for one in found]


def _presences(model: CheckedModel, corpus: Corpus, chosen: Sequence[Mutant]) -> Iterator[Presence]:
    judged_BT = corpus.judged_BT
    exact_NV = model.expected(*corpus.inputs)[judged_BT]
    residual_NV = model.logits(*corpus.inputs)[judged_BT].astype(np.float64) - exact_NV
    place = _place(model, corpus)

    @functools.cache
    def honest() -> list[Array]:
        return [answer_BTV[judged_BT] - exact_NV for answer_BTV in _honest(model, corpus, place)]

    def interval(direction_NV: Array) -> Array:
        strengths = [matched_filter.strength(member, direction_NV) for member in honest()]
        found = matched_filter.honest_interval(strengths)
        return np.array([found.low, found.high])

    exact = models.rounded(model.package, model.contract.weight)
    smallest = _NOTHING * np.abs(exact_NV).max()
    for effect in effects(exact, corpus, chosen):
        direction_NV = effect.logits_BTV[judged_BT] - exact_NV
        if np.abs(direction_NV).max() < smallest:
            continue  # this model does not have what the fault is in
        strength = matched_filter.strength(residual_NV, direction_NV)
        name = f"{place}-{effect.mutant.name}"
        low, high = _kept(name, functools.partial(interval, direction_NV)).tolist()
        yield Presence(effect.mutant, strength, Interval(low, high))


def _place(model: CheckedModel, corpus: Corpus) -> str:
    """Return what names all that is the same for every candidate of a contract on a corpus."""
    digest = hashlib.sha256(repr(model.contract).encode()).hexdigest()[:16]
    return f"{model.package.digest[:16]}-{len(corpus.input_ids_BT)}-{digest}"


def _honest(model: CheckedModel, corpus: Corpus, place: str) -> Iterator[Array]:
    """Yield what the members of the honest ensemble answer, in fp64."""
    truth = models.oracle(model.package, model.contract)
    for i, (member, _) in enumerate(ensemble.honest_members(truth, model.contract)):
        yield _kept(f"{place}-{i}", functools.partial(_widened, member, corpus))


@evidence.time_of("oracle")
def _widened(member: Decoder, corpus: Corpus) -> Array:
    return member.logits(*corpus.inputs).astype(np.float64)
