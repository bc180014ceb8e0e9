"""A candidate's encoder-decoder as a check sees it: guarded, of the right form, its oracle at hand.

Shape letters: B batch, S source tokens, T target tokens, D model, V vocabulary.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence
from conformance.candidate import method_of
from conformance.checked.form import formed, guarded
from conformance.errors import MalformedOutput, NotInBuild
from conformance.oracles.encoder_decoder.corpus import CORPORA, FAR, LONGEST, judged
from conformance.oracles.encoder_decoder.model import HIDDEN, LOGITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from conformance.candidate import EncoderDecoder as CandidateModel
    from conformance.checked.remembered import RememberedAnswers
    from conformance.oracles.encoder_decoder.corpus import EncoderDecoderCorpus
    from conformance.package import ModelPackage
    from conformance.records import Contract, NoiseUnit

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Answer = dict[str, Array]

_AXES = {HIDDEN: " (batch, source, width)", LOGITS: " (batch, target, vocabulary)"}


class CheckedTarget:
    """A session of a candidate's encoder-decoder: each step's logits are checked for form."""

    def __init__(self, owner: CheckedEncoderDecoder, session: Any, rows: int) -> None:
        self._owner, self._session, self._rows = owner, session, rows

    def append(self, target_ids_BT: Ints) -> Array:
        """Feed T more target tokens; return their logits (B, T, V)."""
        owner, given = self._owner, target_ids_BT.copy()
        what = owner.named("append_target")
        answer = guarded(what, lambda: method_of(self._session, "append_target")(given))
        return owner.formed_logits(answer, (self._rows, target_ids_BT.shape[1]))

    def reorder(self, rows: Sequence[int]) -> None:
        """Make row i what row ``rows[i]`` was, its source too."""
        picked = list(rows)
        what = self._owner.named("reorder_target")
        guarded(what, lambda: method_of(self._session, "reorder_target")(picked))
        self._rows = len(rows)


class CheckedEncoderDecoder:
    """A candidate's encoder-decoder, with its package, its oracle and its noise units."""

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
        """Answers of encoder-decoders are not kept."""
        self._load, self._measure_noise = load, measure_noise
        shape = oracle.exact.architecture
        self.vocab, self.start_token = shape.vocab, shape.start
        self.reach = shape.reach
        """Tokens of rows in which all that tells places apart is met."""
        self.far = self.max_positions = min(shape.reach, LONGEST) - FAR
        """Tokens of a long target that are fed at once, before the last ones are step by step; so
        long a row tells how long a model's checks take."""

    @functools.cached_property
    def candidate(self) -> CandidateModel:
        """The candidate's own model, loaded when it is first asked for."""
        what = self.named(f"load({self.package.name})")
        model: CandidateModel = guarded(what, lambda: self._load(self.package))
        return model

    def named(self, what: str) -> str:
        """Return what a message is about, with the candidate where there are two."""
        return f"{self.who}: {what}" if self.who else what

    def of_distances(self) -> CheckedEncoderDecoder:
        """Return the model, of whose source only the distances between places count.

        Raises:
            NotInBuild: its places are absolute, so that what only those have is not to be judged.
        """
        if not self.oracle.exact.architecture.relative:
            raise NotInBuild(f"{self.package.name} adds the place of a token to its embedding")
        return self

    def placed(
        self,
        load: Callable[[ModelPackage], Any],
        package: ModelPackage,
        contract: Contract,
    ) -> CheckedEncoderDecoder:
        """Return the same model in another candidate, judged by the same units."""
        return CheckedEncoderDecoder(load, package, self.oracle, contract, self.noise_on)

    @functools.cached_property
    def noise(self) -> NoiseUnit:
        """The noise unit at the logits."""
        return self.noise_on("near")[LOGITS]

    @functools.cache  # noqa: B019  # a model lives as long as the run
    def noise_on(self, corpus: str) -> Mapping[str, NoiseUnit]:
        """Return the noise unit of each output on a corpus: ``near`` or ``long``."""
        with evidence.time_of("oracle"):
            return self._measure_noise(corpus)

    def corpus(self, name: str) -> EncoderDecoderCorpus:
        """Return a frozen corpus: ``near`` or ``long``."""
        if name == "long" and self.reach > LONGEST:
            evidence.note(
                f"{self.package.name} tells places apart over {self.reach} tokens; its rows have "
                f"{LONGEST}, so that nothing is said of what is farther"
            )
        return CORPORA[name](self.vocab, self.start_token, self.reach)

    @functools.cache  # noqa: B019  # the same
    def answer_on(self, corpus: str) -> Answer:
        """Return the candidate's answers on a frozen corpus: it is asked once."""
        return self.decode(*self.corpus(corpus).inputs)

    def decode(self, source_BS: Ints, mask_BS: Ints | None, target_BT: Ints) -> Answer:
        """Ask the candidate for the encoded source and for the target's logits, by name.

        Args:
            source_BS: token ids of the source.
            mask_BS: 1 shows a source token; None shows all.
            target_BT: token ids of the target.
        """
        asked = source_BS, _filled(source_BS, mask_BS), target_BT
        inputs, model = [array.copy() for array in asked], self.candidate
        what = self.named("decode_tokens")
        answer = guarded(what, lambda: method_of(model, "decode_tokens")(*inputs))
        if not isinstance(answer, dict) or not set(_AXES) <= set(answer):
            got = sorted(map(repr, answer)) if isinstance(answer, dict) else type(answer).__name__
            raise MalformedOutput(f"{what} answered {got}; wanted a dict with {', '.join(_AXES)}")
        hidden = self._formed(HIDDEN, answer[HIDDEN], source_BS.shape)
        seen_BS1 = judged(asked[1], target_BT, HIDDEN)[..., None]
        self._told(HIDDEN, np.where(seen_BS1, hidden, hidden.dtype.type(0)))
        return {HIDDEN: hidden, LOGITS: self.formed_logits(answer[LOGITS], target_BT.shape)}

    def start(self, source_BS: Ints, mask_BS: Ints | None = None) -> CheckedTarget:
        """Start a session of no target token on a source."""
        inputs, model = (source_BS.copy(), _filled(source_BS, mask_BS).copy()), self.candidate
        what = self.named("start_target")
        session = guarded(what, lambda: method_of(model, "start_target")(*inputs))
        return CheckedTarget(self, session, len(source_BS))

    def expected(self, source_BS: Ints, mask_BS: Ints | None, target_BT: Ints) -> Answer:
        """Ask the oracle for what ``decode`` asks the candidate for, in fp64."""
        return self.oracle.of(source_BS, _filled(source_BS, mask_BS), target_BT)

    def formed_logits(self, array: Any, rows: tuple[int, ...]) -> Array:
        """Return logits of the claimed form and type, (B, T, V).

        Raises:
            MalformedOutput: they are of another.
        """
        found = self._formed(LOGITS, array, rows)
        self._told(LOGITS, found)
        return found

    def _formed(self, name: str, array: Any, rows: tuple[int, ...]) -> Array:
        shape = self.oracle.exact.architecture
        width = shape.vocab if name == LOGITS else shape.dim
        return formed(self.named(name), array, (*rows, width), self.contract.output, _AXES[name])

    def _told(self, name: str, seen: Array) -> None:
        evidence.answered(seen, functools.partial(_scale, self.noise_on("near")[name].max))


def _scale(largest: float, _: Array) -> Array:
    return np.asarray(largest)


def _filled(source_BS: Ints, mask_BS: Ints | None) -> Ints:
    return np.ones_like(source_BS) if mask_BS is None else mask_BS
