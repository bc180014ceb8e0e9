"""A candidate's model and sessions as a check sees them, with their oracle.

Shape letters: B batch, T tokens of a call, S tokens seen so far, V vocabulary.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence
from conformance.candidate import method_of
from conformance.checked.form import MAY_LACK, formed, guarded
from conformance.checked.remembered import RememberedAnswers
from conformance.errors import (
    MalformedOutput,
    NotInBuild,
)
from conformance.formats.hf_config import window_of
from conformance.oracles.comparison import compare
from conformance.oracles.corpus import corpus, default_positions
from conformance.oracles.ensemble import unit_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from conformance.candidate import Model, Session
    from conformance.oracles.comparison import Comparison
    from conformance.oracles.corpus import Corpus
    from conformance.oracles.decoder import Decoder
    from conformance.oracles.ensemble import Noise
    from conformance.package import ModelPackage
    from conformance.records import Contract, NoiseUnit

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_KEPT_ANSWERS = 16
"""How many of the oracle's latest answers are kept: a check asks twice for one input at most."""
_LOGITS = "logits"
_AXES = " (batch, tokens, vocabulary)"


class RememberedOracle:
    """A decoder in fp64 that keeps its latest answers: computed once, however often asked for.

    Args:
        oracle: the decoder.
        keep: how many answers are kept.
    """

    def __init__(self, oracle: Decoder, keep: int = _KEPT_ANSWERS) -> None:
        self._oracle = oracle
        self._answers = RememberedAnswers(oracle, self._asked, keep)

    def logits(self, *inputs: Ints) -> Array:
        """Return the logits (B, T, V) of token ids, mask and positions, each (B, T)."""
        return self.outputs(*inputs)[0]

    def hidden_states(self, *inputs: Ints) -> dict[str, Array]:
        """Return the residual stream (B, T, D) after each layer."""
        return self.outputs(*inputs)[1]

    def outputs(self, *inputs: Ints) -> tuple[Array, dict[str, Array]]:
        """Return both, of one pass."""
        taps = dict(self._answers.of(*inputs))
        return taps.pop(_LOGITS), taps

    def _asked(self, *inputs: Ints) -> dict[str, Array]:
        logits, taps = self._oracle.outputs(*inputs)
        return {_LOGITS: logits, **taps}

    def logits_at(self, corpus: Corpus, places_N: Ints) -> Array:
        """Return the logits (B, N, V) of some tokens of a corpus alone; they are not kept."""
        with evidence.time_of("oracle"):
            return self._oracle.logits_at(*corpus.inputs, places_N)

    def unit_at(self, corpus: Corpus, places_N: Ints, contract: Contract) -> NoiseUnit:
        """Return the noise unit of some tokens of a corpus alone."""
        with evidence.time_of("oracle"):
            return unit_at(self._oracle, corpus, places_N, contract)


class CheckedModel:
    """A candidate's model, with its package, its oracle and its noise unit."""

    def __init__(
        self,
        load: Callable[[ModelPackage], Model],
        package: ModelPackage,
        oracle: RememberedOracle,
        contract: Contract,
        measure_noise: Callable[..., Noise],
        measure_types: Callable[[], Mapping[str, float]],
        who: str = "",
    ) -> None:
        self.package, self.oracle, self.contract = package, oracle, contract
        self.who = who
        """The candidate's name, where there are two."""
        self.kept: str | None = None
        """Digest of the logits of the corpus that the run keeps."""
        self._load, self._measure_noise, self._measure_types = load, measure_noise, measure_types
        self.vocab = package.sizes["vocab_size"]
        self.max_positions = package.sizes["max_position_embeddings"]
        layers = range(package.sizes["num_hidden_layers"])
        self.window = max((window_of(package.config, layer) or 0 for layer in layers), default=0)
        """Keys that a query of some layer sees at most; 0 where all see all before them."""

    @functools.cached_property
    def candidate(self) -> Model:
        """The candidate's own model, loaded when it is first asked for."""
        what = self.named(f"load({self.package.name})")
        return guarded(what, lambda: self._load(self.package))

    def named(self, what: str) -> str:
        """Return what a message is about, with the candidate where there are two."""
        return f"{self.who}: {what}" if self.who else what

    def load(self) -> None:
        """Let the candidate load the package, where it has not yet."""
        _ = self.candidate

    @property
    def graph_file(self) -> Path:
        """The ONNX graph that the candidate has loaded.

        Raises:
            NotInBuild: it has loaded none, or shows none.
        """
        file: Path | None = getattr(self.candidate, "graph_file", None)
        if file is None:
            raise NotInBuild(
                f"{self.named(self.package.name)}: the candidate shows no ONNX graph whose "
                "constants could be read: it is judged by its answers alone"
            )
        return file

    @functools.cached_property
    def corpus(self) -> Corpus:
        """The frozen corpus, on which most of what is known of a model is measured."""
        return corpus(self.vocab, self.max_positions)

    @functools.cached_property
    def answer_BTV(self) -> Array:
        """The candidate's logits of the corpus, (B, T, V): it is asked once."""
        return self.logits(*self.corpus.inputs)

    @functools.cached_property
    def exact_BTV(self) -> Array:
        """The exact logits of the corpus, (B, T, V)."""
        return self.expected(*self.corpus.inputs)

    @functools.cached_property
    def comparison(self) -> Comparison:
        """The one against the other, token by token."""
        return compare(self.answer_BTV, self.exact_BTV, self.corpus)

    @functools.cached_property
    def ensemble(self) -> Noise:
        """The noise of honest implementations of this model under the claimed contract."""
        with evidence.time_of("oracle"):
            return self._measure_noise()

    @functools.cached_property
    def type_noise(self) -> Mapping[str, float]:
        """The RMS error at each precision that there is, the widest first."""
        with evidence.time_of("oracle"):
            return self._measure_types()

    @functools.cached_property
    def noise(self) -> NoiseUnit:
        """The noise unit: that noise at the logits."""
        return self.ensemble.unit

    @functools.cache  # noqa: B019  # a model lives as long as the run
    def noise_on(self, corpus: str) -> NoiseUnit:
        """Return the noise unit on another corpus: ``long``, ``longest``, ``far`` or ``text``."""
        with evidence.time_of("oracle"):
            return self._measure_noise(corpus).unit

    @functools.cache  # noqa: B019  # the same
    def variant(self, change: Callable[[ModelPackage], ModelPackage]) -> CheckedModel:
        """Return the model of a package that is made from this one's, in the same candidate."""
        return CheckedModel(
            self._load,
            change(self.package),
            self.oracle,
            self.contract,
            self._measure_noise,
            self._measure_types,
            self.who,
        )

    def logits(
        self, tokens_BT: Ints, mask_BT: Ints | None = None, at_BT: Ints | None = None
    ) -> Array:
        """Ask the candidate for logits (B, T, V).

        Args:
            tokens_BT: token ids.
            mask_BT: 1 attends; None attends to all.
            at_BT: positions; None counts the real tokens of each row.
        """
        inputs = [array.copy() for array in _filled(tokens_BT, mask_BT, at_BT)]
        model = self.candidate
        answer = guarded(self.named("logits"), lambda: method_of(model, "logits")(*inputs))
        return self.formed(answer, tokens_BT.shape)

    def packed(self, tokens_BT: Ints, documents_BT: Ints, at_BT: Ints) -> Array:
        """Ask the candidate for the logits (B, T, V) of packed rows.

        Args:
            tokens_BT: token ids.
            documents_BT: the document of each token; 0 is padding.
            at_BT: positions, which begin anew with each document.
        """
        inputs = [array.copy() for array in (tokens_BT, documents_BT, at_BT)]
        model, what = self.candidate, self.named("packed_logits")
        answer = guarded(what, lambda: method_of(model, "packed_logits")(*inputs))
        return self.formed(answer, tokens_BT.shape)

    def expected(
        self, tokens_BT: Ints, mask_BT: Ints | None = None, at_BT: Ints | None = None
    ) -> Array:
        """Ask the oracle for the same logits in fp64."""
        return self.oracle.logits(*_filled(tokens_BT, mask_BT, at_BT))

    @functools.cached_property
    def taps(self) -> dict[str, Array]:
        """The candidate's residual stream after each layer on the corpus, (B, T, D)."""
        inputs = [array.copy() for array in self.corpus.inputs]
        model = self.candidate
        what = self.named(MAY_LACK)
        answer = guarded(what, lambda: method_of(model, "hidden_states")(*inputs))
        if not isinstance(answer, dict) or not set(self.exact_taps) <= set(answer):
            got = sorted(map(repr, answer)) if isinstance(answer, dict) else type(answer).__name__
            raise MalformedOutput(
                f"{what} answered {got}; wanted a dict with {', '.join(self.exact_taps)}"
            )
        return {
            name: formed(self.named(name), answer[name], exact.shape, self.contract.output)
            for name, exact in self.exact_taps.items()
        }

    @functools.cached_property
    def exact_taps(self) -> dict[str, Array]:
        """The exact stream after each layer on the corpus, by the tap's name."""
        return self.oracle.hidden_states(*self.corpus.inputs)

    def start(self, batch: int) -> CheckedSession:
        """Start a session of the candidate's, with an empty key/value cache."""
        model = self.candidate
        session = guarded(self.named("start"), lambda: method_of(model, "start")(batch))
        return CheckedSession(session, self)

    def formed(self, answer: Any, shape: tuple[int, ...]) -> Array:
        """Return the candidate's logits, once their type and shape are right."""
        wanted = (*shape, self.vocab)
        logits_BTV = formed(self.named("logits"), answer, wanted, self.contract.output, _AXES)
        evidence.answered(logits_BTV, lambda _: np.asarray(self.noise.max))
        return logits_BTV


class CheckedSession:
    """A candidate's session; the same guard and the same checks of form."""

    def __init__(self, session: Session, model: CheckedModel) -> None:
        self._session, self._model = session, model

    def append(self, tokens_BT: Ints, mask_BS: Ints, at_BT: Ints) -> Array:
        """Feed T more tokens and return their logits (B, T, V)."""
        inputs = [array.copy() for array in (tokens_BT, mask_BS, at_BT)]
        what = self._model.named("append")
        answer = guarded(what, lambda: method_of(self._session, "append")(*inputs))
        return self._model.formed(answer, tokens_BT.shape)

    def copy(self) -> CheckedSession:
        """Return an independent session in the same state."""
        return CheckedSession(self._do("copy"), self._model)

    def crop(self, length: int) -> None:
        """Forget everything behind the first ``length`` tokens."""
        self._do("crop", length)

    def reorder(self, rows: Sequence[int]) -> None:
        """Make row i of the cache what row ``rows[i]`` was."""
        self._do("reorder", list(rows))

    def _do(self, name: str, *arguments: Any) -> Any:
        what = self._model.named(name)
        return guarded(what, lambda: method_of(self._session, name)(*arguments))


def _filled(tokens_BT: Ints, mask_BT: Ints | None, at_BT: Ints | None) -> tuple[Ints, Ints, Ints]:
    mask = np.ones_like(tokens_BT) if mask_BT is None else mask_BT
    return tokens_BT, mask, default_positions(mask) if at_BT is None else at_BT
