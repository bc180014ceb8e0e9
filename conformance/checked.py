"""The candidate as a check sees it: guarded, its answers checked for form, its oracle at hand.

Whatever a candidate raises becomes a :class:`CandidateFault`, so that a check's own mistakes can
be told from the candidate's. Arrays are copied on the way in and on the way out: a candidate that
writes to its inputs, or answers twice in one buffer, must not change what is judged. Shape
letters: B batch, T tokens of a call, S tokens seen so far, V vocabulary.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from conformance import evidence, precision, spec
from conformance.candidate import method_of
from conformance.errors import (
    BuildError,
    CandidateCrashed,
    CandidateFault,
    CandidateRaised,
    CandidateTimeout,
    CandidateUnavailable,
    MalformedOutput,
    NotInBuild,
    RestartsSpent,
    Unsupported,
)
from conformance.oracles import standard
from conformance.oracles.comparison import compare
from conformance.oracles.corpus import corpus
from conformance.raised import error_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from conformance.candidate import Candidate, Model, Session
    from conformance.oracles.comparison import Comparison
    from conformance.oracles.corpus import Corpus
    from conformance.oracles.decoder import Decoder
    from conformance.oracles.ensemble import Noise
    from conformance.oracles.standard import Expected
    from conformance.package import ModelPackage
    from conformance.records import Contract, NoiseUnit, OperatorCall

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_T = TypeVar("_T")

_KEPT_ANSWERS = 16
"""How many of the oracle's latest answers are kept: a check asks twice for one input at most."""
MAY_LACK = "hidden_states"
"""What a model's file may not show though its runtime claims it: no profile demands it."""
_AXES = " (batch, tokens, vocabulary)"
_ROUNDINGS = 4
"""Roundings that a value may have had beyond the oracle's bound, which is for another value."""


def guarded(what: str, call: Callable[[], _T]) -> _T:
    """Call into the candidate; whatever it raises is its fault.

    Even ``SystemExit`` and pytest's own skip are: a candidate may not end the run, nor excuse
    itself from a case. Only the user's Ctrl-C passes.
    """
    try:
        with evidence.time_of("candidate"):
            return call()
    except (CandidateCrashed, CandidateTimeout) as error:
        raise type(error)(f"{what}: {error}") from error
    except (BuildError, CandidateFault, CandidateUnavailable, KeyboardInterrupt):
        raise
    except (RestartsSpent, Unsupported):
        raise
    except BaseException as error:  # see above
        if isinstance(error, NotInBuild) and what.endswith(MAY_LACK):
            raise
        raise CandidateRaised(f"{what} raised {error_text(error)}") from error


def default_positions(mask_BT: Ints) -> Ints:
    """Return the positions of real tokens counted from 0 in each row; padding gets at least 0."""
    return np.maximum(np.cumsum(mask_BT, axis=1) - 1, 0).astype(np.int64)


class RememberedOracle:
    """An oracle that keeps its latest answers: computed once, however often they are asked for.

    Args:
        oracle: the decoder in fp64.
        keep: how many answers are kept.
    """

    def __init__(self, oracle: Decoder, keep: int = _KEPT_ANSWERS) -> None:
        self._oracle, self._keep = oracle, keep
        self._answers: OrderedDict[bytes, Array] = OrderedDict()

    def logits(self, *inputs: Ints) -> Array:
        """Return the logits (B, T, V) of token ids, mask and positions, each (B, T)."""
        shapes = repr([array.shape for array in inputs]).encode()
        key = hashlib.sha256(shapes + b"".join(array.tobytes() for array in inputs)).digest()
        if key not in self._answers:
            with evidence.time_of("oracle"):
                self._answers[key] = self._oracle.logits(*inputs)
            while len(self._answers) > self._keep:
                self._answers.popitem(last=False)
        return self._answers[key]

    def hidden_states(self, *inputs: Ints) -> dict[str, Array]:
        """Return the residual stream (B, T, D) after each layer; it is not kept."""
        with evidence.time_of("oracle"):
            return self._oracle.hidden_states(*inputs)


class CheckedModel:
    """A candidate's model, with its package, its oracle and its noise unit."""

    def __init__(
        self,
        load: Callable[[], Model],
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
        self.vocab = int(package.config["vocab_size"])
        self.max_positions = int(package.config["max_position_embeddings"])

    @functools.cached_property
    def candidate(self) -> Model:
        """The candidate's own model, loaded when it is first asked for."""
        return guarded(self.named(f"load({self.package.name})"), self._load)

    def named(self, what: str) -> str:
        """Return what a message is about, with the candidate where there are two."""
        return f"{self.who}: {what}" if self.who else what

    def load(self) -> None:
        """Let the candidate load the package, where it has not yet."""
        _ = self.candidate

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
        """Return the noise unit on another corpus: ``long``, ``far`` or ``text``."""
        with evidence.time_of("oracle"):
            return self._measure_noise(corpus).unit

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
            name: _formed(self.named(name), answer[name], exact.shape, self.contract.output)
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
        logits_BTV = _formed(self.named("logits"), answer, wanted, self.contract.output, _AXES)
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


class CheckedOperators:
    """A candidate's operators, and the oracle's."""

    def __init__(
        self,
        candidate: Candidate,
        contract: Contract,
        truths: RememberedTruths | None = None,
        who: str = "",
    ) -> None:
        self._candidate, self.contract, self.who = candidate, contract, who
        self._truths = truths or RememberedTruths(contract)
        self.dtype = precision.dtype(contract.input)

    def compute(self, call: OperatorCall) -> dict[str, Array]:
        """Ask the candidate for the outputs of one operator call, by formal name."""
        copies = {name: _copied(array) for name, array in call.inputs.items()}
        own = dataclasses.replace(call, inputs=copies, attributes=dict(call.attributes))
        what = f"{self.who}: {call.operator}" if self.who else call.operator
        answer = guarded(what, lambda: method_of(self._candidate, "operator")(own))
        if not isinstance(answer, dict) or set(answer) != set(call.outputs):
            got = sorted(map(repr, answer)) if isinstance(answer, dict) else type(answer).__name__
            raise MalformedOutput(
                f"{what}-{call.opset} answered {got}; wanted a dict with {call.outputs}"
            )
        truth = self.expected(call)
        outputs = {
            name: _formed(name, answer[name], truth[name].value.shape, truth[name].dtype)
            for name in call.outputs
        }
        for name, array in outputs.items():
            evidence.answered(array, functools.partial(_scale, truth[name]))
        return outputs

    def expected(self, call: OperatorCall) -> dict[str, Expected]:
        """Ask the oracle for the exact outputs in fp64, each with its bound."""
        return self._truths.of(call)


class RememberedTruths:
    """The operator oracle, which keeps its latest answers."""

    def __init__(self, contract: Contract, keep: int = _KEPT_ANSWERS) -> None:
        self._contract, self._keep = contract, keep
        self._answers: OrderedDict[int, tuple[OperatorCall, dict[str, Expected]]] = OrderedDict()

    def of(self, call: OperatorCall) -> dict[str, Expected]:
        """Return the exact outputs of a call; the same call object is computed once."""
        if id(call) not in self._answers:
            with evidence.time_of("oracle"):
                self._answers[id(call)] = (call, standard.expected(call, self._contract))
            while len(self._answers) > self._keep:
                self._answers.popitem(last=False)
        return self._answers[id(call)][1]


def _scale(truth: Expected, value: Array) -> Array:
    """Return how far honest rounding carries an answer that should be another than the oracle's."""
    float_type = truth.dtype if precision.is_float(truth.dtype) else "float64"
    size = np.where(np.isfinite(value), np.abs(value), 0.0)
    return truth.bound + _ROUNDINGS * precision.unit_roundoff(float_type) * size


def _filled(tokens_BT: Ints, mask_BT: Ints | None, at_BT: Ints | None) -> tuple[Ints, Ints, Ints]:
    mask = np.ones_like(tokens_BT) if mask_BT is None else mask_BT
    return tokens_BT, mask, default_positions(mask) if at_BT is None else at_BT


def _copied(array: Array) -> Array:
    """Return a copy with the same strides, so that a candidate meets what the check made."""
    if array.flags.c_contiguous or min(array.strides) < 0:
        return array.copy()
    reach = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    memory = np.zeros(sum(reach) + array.itemsize, np.uint8)
    copy: Array = np.ndarray(array.shape, array.dtype, memory.data, strides=array.strides)
    copy[...] = array
    return copy


def _formed(
    name: str, answer: Any, shape: tuple[int, ...], type_name: str, axes: str = ""
) -> Array:
    if not isinstance(answer, np.ndarray):
        raise MalformedOutput(f"{name} is a {type(answer).__name__}; wanted a NumPy array")
    if answer.dtype != precision.dtype(type_name):
        raise MalformedOutput(
            f"{name} has type {answer.dtype}; the claimed type is {type_name}: "
            f"{_way_out(str(answer.dtype))}"
        )
    if answer.shape != shape:
        raise MalformedOutput(f"{name} has shape {list(answer.shape)}; wanted {list(shape)}{axes}")
    # A copy of the plain kind: runtimes use one buffer for all their answers, and a subclass
    # could compare as it likes.
    return np.array(answer, subok=False)


def _way_out(answered: str) -> str:
    claims = [c.name for c in spec.load().contracts.values() if c.output == answered]
    return f"claim {claims[0]}, or convert" if claims else "convert it"
