"""A candidate's encoder as a check sees it: guarded, its answers checked for form, its oracle.

Shape letters: B batch, T tokens, D model, V vocabulary.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence
from conformance.candidate import method_of
from conformance.checked.form import formed, guarded
from conformance.errors import MalformedOutput, NotInBuild
from conformance.oracles.encoder.corpus import CORPORA, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.candidate import Encoder as CandidateEncoder
    from conformance.checked.remembered import RememberedAnswers
    from conformance.oracles.encoder.corpus import EncoderCorpus
    from conformance.package import ModelPackage
    from conformance.records import Contract, NoiseUnit

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Answer = dict[str, Array]

HIDDEN, POOLED, LOGITS = "last_hidden_state", "pooler_output", "logits"
_AXES = {
    HIDDEN: " (batch, tokens, width)",
    POOLED: " (batch, width)",
    LOGITS: " (batch, tokens, vocabulary)",
}


class CheckedEncoder:
    """A candidate's encoder, with its package, its oracle and its noise units."""

    def __init__(
        self,
        load: Callable[[ModelPackage], Any],
        package: ModelPackage,
        oracle: RememberedAnswers,
        contract: Contract,
        measure_noise: Callable[..., Mapping[str, NoiseUnit]],
        who: str = "",
    ) -> None:
        self.package, self.oracle, self.contract, self.who = package, oracle, contract, who
        self.kept: str | None = None
        """Encoders' answers are not kept."""
        self._load, self._measure_noise = load, measure_noise
        shape = oracle.exact.architecture
        self.vocab, self.types, self.max_positions = shape.vocab, shape.types, shape.max_positions
        self.outputs = shape.outputs
        """What it answers, by name."""

    @functools.cached_property
    def candidate(self) -> CandidateEncoder:
        """The candidate's own encoder, loaded when it is first asked for."""
        what = self.named(f"load({self.package.name})")
        encoder: CandidateEncoder = guarded(what, lambda: self._load(self.package))
        return encoder

    def named(self, what: str) -> str:
        """Return what a message is about, with the candidate where there are two."""
        return f"{self.who}: {what}" if self.who else what

    def having(self, name: str) -> str:
        """Return the name of an output that the model's tensors make.

        Raises:
            NotInBuild: it has none of that name, so that there is nothing to judge.
        """
        if name not in self.outputs:
            raise NotInBuild(f"{self.package.name} has no tensors that make a {name}")
        return name

    def placed(
        self,
        load: Callable[[ModelPackage], Any],
        package: ModelPackage,
        contract: Contract,
    ) -> CheckedEncoder:
        """Return the same encoder in another candidate, judged by the same units."""
        return CheckedEncoder(load, package, self.oracle, contract, self.noise_on)

    @functools.cached_property
    def noise(self) -> NoiseUnit:
        """The noise unit at the hidden states, which every encoder has."""
        return self.noise_on("near")[HIDDEN]

    @functools.cache  # noqa: B019  # an encoder lives as long as the run
    def noise_on(self, corpus: str) -> Mapping[str, NoiseUnit]:
        """Return the noise unit of each output on a corpus: ``near`` or ``long``."""
        with evidence.time_of("oracle"):
            return self._measure_noise(corpus)

    def corpus(self, name: str) -> EncoderCorpus:
        """Return a frozen corpus: ``near`` or ``long``."""
        return CORPORA[name](self.vocab, self.types, self.max_positions)

    @functools.cache  # noqa: B019  # the same
    def answer_on(self, corpus: str) -> Answer:
        """Return the candidate's answers on a frozen corpus: it is asked once."""
        return self.encode(*self.corpus(corpus).inputs)

    def encode(
        self, tokens_BT: Ints, mask_BT: Ints | None = None, types_BT: Ints | None = None
    ) -> Answer:
        """Ask the candidate for what the encoder answers, by name.

        Args:
            tokens_BT: token ids.
            mask_BT: 1 shows a token; None shows all.
            types_BT: token types; None is type 0 throughout.
        """
        asked = _filled(tokens_BT, mask_BT, types_BT)
        inputs, encoder = [array.copy() for array in asked], self.candidate
        what = self.named("encode_tokens")
        answer = guarded(what, lambda: method_of(encoder, "encode_tokens")(*inputs))
        if not isinstance(answer, dict) or not set(self.outputs) <= set(answer):
            got = sorted(map(repr, answer)) if isinstance(answer, dict) else type(answer).__name__
            raise MalformedOutput(
                f"{what} answered {got}; wanted a dict with {', '.join(self.outputs)}, which the "
                "model's tensors are there for"
            )
        found = {name: self._formed(name, answer[name], asked[0].shape) for name in self.outputs}
        for name, array in found.items():
            seen = np.where(_like(judged(asked[1], name), array), array, array.dtype.type(0))
            largest = self.noise_on("near")[name].max
            evidence.answered(seen, functools.partial(_scale, largest))
        return found

    def expected(
        self, tokens_BT: Ints, mask_BT: Ints | None = None, types_BT: Ints | None = None
    ) -> Answer:
        """Ask the oracle for the same in fp64."""
        return self.oracle.of(*_filled(tokens_BT, mask_BT, types_BT))

    def _formed(self, name: str, array: Any, rows: tuple[int, ...]) -> Array:
        architecture = self.oracle.exact.architecture
        width = architecture.vocab if name == LOGITS else architecture.dim
        shape = (rows[0], width) if name == POOLED else (*rows, width)
        return formed(self.named(name), array, shape, self.contract.output, _AXES[name])


def _scale(largest: float, _: Array) -> Array:
    return np.asarray(largest)


def _like(judged_N: Array, array: Array) -> Array:
    return judged_N.reshape(*judged_N.shape, *(1,) * (array.ndim - judged_N.ndim))


def _filled(tokens_BT: Ints, mask_BT: Ints | None, types_BT: Ints | None) -> tuple[Ints, ...]:
    mask = np.ones_like(tokens_BT) if mask_BT is None else mask_BT
    return tokens_BT, mask, np.zeros_like(tokens_BT) if types_BT is None else types_BT
