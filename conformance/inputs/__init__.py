"""Generated inputs: what a check asks for, drawn by hypothesis and kept as the case's inputs.

This folder is the only place that knows hypothesis. A check names its inputs like fixtures::

    @given(tokens_BT=token_batches(min_length=2), cut=cuts)
    def test_future_tokens_do_not_change_past_logits(model, tokens_BT, cut): ...

Each value is a function whose arguments are fixtures of the check or inputs drawn before it, and
which returns a hypothesis strategy. So an input may depend on the model and on other inputs.
Shape letters: B batch, T tokens.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import pickle
import time
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
from hypothesis import configuration
from hypothesis import strategies as st

from conformance import evidence
from conformance.errors import CandidateCrashed, CandidateTimeout
from conformance.oracles.corpus import FAR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedModel

    Strategy = st.SearchStrategy[Any]
    Input = Callable[..., Strategy]

SHRINK_S = 5.0
"""Seconds for which a failing input is made smaller."""

_SETTINGS = hypothesis.settings(
    database=None,  # a run depends on nothing but its seed
    deadline=None,  # slow candidates are not wrong
    derandomize=False,  # fixed examples would be learnt by heart
    max_examples=20,
    report_multiple_bugs=False,
    print_blob=False,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
)
"""Explicit, so that no conftest or profile of the user's can change what a check means."""


def given(**inputs: Input) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Feed a check with generated inputs, and keep them for the counterexample."""

    def decorate(check: Callable[..., None]) -> Callable[..., None]:
        fixtures = [p for p in inspect.signature(check).parameters if p not in inputs]
        names = [*fixtures, "data"]

        @functools.wraps(check)
        def drawn(*positional: Any, **named: Any) -> None:
            arguments = {**dict(zip(names, positional, strict=False)), **named}
            data = arguments.pop("data")
            _run(check, arguments, _drawn(inputs, arguments, data))

        drawn.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
        )
        generated = _SETTINGS(hypothesis.given(data=st.data())(drawn))
        generated.llm_check = check  # type: ignore[attr-defined]  # what a replay calls
        generated.llm_inputs = inputs  # type: ignore[attr-defined]  # what `examples` draws
        return generated

    return decorate


def seed(check: Callable[..., None], text: str) -> None:
    """Let a check that draws inputs draw those that belong to a text; others are left alone."""
    if hasattr(check, "hypothesis"):
        digest = hashlib.sha256(text.encode()).digest()
        hypothesis.seed(int.from_bytes(digest[:8]))(check)


def keep_files_in(folder: str) -> None:
    """Let hypothesis keep its files in a folder; by itself it makes one where the user stands."""
    configuration.set_hypothesis_home_dir(folder)


def examples(
    check: Callable[..., None], arguments: dict[str, Any], count: int, seed: int
) -> list[dict[str, Any]]:
    """Return inputs that a check would be given, without running it: a frozen corpus.

    Args:
        check: a check; one without :func:`given` has a single example, with no inputs.
        arguments: the values of its fixtures and parameters.
        count: how many examples, at most.
        seed: the same seed gives the same examples.
    """
    inputs = getattr(check, "llm_inputs", None)
    if inputs is None:
        return [{}]
    found: list[dict[str, Any]] = []

    def collect(data: st.DataObject) -> None:
        found.append(_drawn(inputs, arguments, data))

    frozen = hypothesis.settings(_SETTINGS, max_examples=count, phases=[hypothesis.Phase.generate])
    hypothesis.seed(seed)(frozen(hypothesis.given(data=st.data())(collect)))()
    return found


def _drawn(
    inputs: Mapping[str, Input], arguments: dict[str, Any], data: st.DataObject
) -> dict[str, Any]:
    """Draw one input after the other; each may depend on those before it."""
    values: dict[str, Any] = {}
    for name, make in inputs.items():
        strategy = make(**_wanted(make, {**arguments, **values}))
        values[name] = data.draw(strategy, label=name)
    return values


def _run(check: Callable[..., None], arguments: dict[str, Any], values: dict[str, Any]) -> None:
    """Run a check on drawn inputs; once shrinking is over, only on those known to fail.

    hypothesis shrinks for minutes, which a slow candidate with many failures cannot have, and a
    candidate whose process died or hung costs a new process each time: that input is never tried
    again, nor a smaller one searched. What hypothesis runs last is the smallest input that failed;
    it is run for real, or what it raised is raised again.
    """
    sink = evidence.current()
    key = hashlib.sha256(pickle.dumps(values)).digest()
    if key not in sink.failed and _shrunk_enough(sink):
        return
    sink.inputs = dict(values)
    if key in sink.deadly:
        raise sink.deadly[key]
    try:
        check(**arguments, **values)
    except BaseException as error:
        sink.failing_since = sink.failing_since if sink.failed else time.monotonic()
        sink.failed.add(key)
        if isinstance(error, CandidateCrashed | CandidateTimeout):
            sink.deadly[key] = error
        raise


def _shrunk_enough(sink: evidence.Sink) -> bool:
    late = bool(sink.failed) and time.monotonic() > sink.failing_since + SHRINK_S
    return late or bool(sink.deadly)


def _wanted(function: Callable[..., Any], offered: dict[str, Any]) -> dict[str, Any]:
    """Return those of the offered values that a function's arguments name."""
    return {n: offered[n] for n in inspect.signature(function).parameters if n in offered}


def token_batches(
    *, min_batch: int = 1, max_batch: int = 3, min_length: int = 1, max_length: int = 40
) -> Input:
    """Token ids (B, T) over the model's whole vocabulary, int64."""

    def make(model: CheckedModel) -> Strategy:
        ids = st.integers(0, model.vocab - 1)
        shape = st.tuples(st.integers(min_batch, max_batch), st.integers(min_length, max_length))
        return shape.flatmap(lambda bt: _ints(ids, bt))

    return make


def _ints(numbers: st.SearchStrategy[int], shape: tuple[int, ...]) -> Strategy:
    size = int(np.prod(shape))
    flat = st.lists(numbers, min_size=size, max_size=size)
    return flat.map(lambda values: np.array(values, dtype=np.int64).reshape(shape))


def cuts(tokens_BT: NDArray[np.int64]) -> Strategy:
    """A place inside the token axis: at least one token before it and one behind it."""
    return st.integers(1, tokens_BT.shape[1] - 1)


def splits(tokens_BT: NDArray[np.int64]) -> Strategy:
    """Strictly increasing places inside the token axis, at most four of them."""
    places = st.integers(1, tokens_BT.shape[1] - 1)
    return st.lists(places, min_size=1, max_size=4, unique=True).map(sorted)


def later_tokens(model: CheckedModel, tokens_BT: NDArray[np.int64], cut: int) -> Strategy:
    """Other token ids for everything behind the cut, (B, T - cut)."""
    batch, tokens = tokens_BT.shape
    return _ints(st.integers(0, model.vocab - 1), (batch, tokens - cut))


def row_choices(tokens_BT: NDArray[np.int64]) -> Strategy:
    """Which old row each new row is, (B,): rows may be lost and doubled, as in beam search."""
    rows = tokens_BT.shape[0]
    return _ints(st.integers(0, rows - 1), (rows,))


def paddings(tokens_BT: NDArray[np.int64]) -> Strategy:
    """How many tokens of each row are padding, (B,): some row's are, and no row's are all.

    Of rows of one token, none can be.
    """
    batch, tokens = tokens_BT.shape
    padded = _ints(st.integers(0, tokens - 1), (batch,))
    return padded.filter(np.any) if tokens > 1 else padded


def sides() -> Strategy:
    """The side on which rows are padded."""
    return st.sampled_from(["left", "right"])


def pad_tokens(model: CheckedModel, tokens_BT: NDArray[np.int64]) -> Strategy:
    """Token ids to put where a row is padded, (B, T)."""
    return _ints(st.integers(0, model.vocab - 1), tokens_BT.shape)


def position_gaps(model: CheckedModel, tokens_BT: NDArray[np.int64]) -> Strategy:
    """Positions (B, T) that grow in each row by 1 or by a leap, about as far as the corpus's.

    Not further: the rounding of an angle grows with the position, and the noise unit was measured
    on the corpus.
    """
    batch, tokens = tokens_BT.shape
    room = min(model.max_positions, FAR + tokens) - tokens
    leap = st.one_of(st.just(1), st.integers(1, max(1, room // tokens)))
    return _ints(leap, (batch, tokens)).map(
        lambda steps: np.cumsum(steps, axis=1, dtype=np.int64) - steps[:, :1]
    )
