"""Generated inputs: what a check asks for, drawn by hypothesis and kept as the case's inputs.

This folder is the only place that knows hypothesis. A check names its inputs like fixtures::

    @given(tokens_BT=token_batches(min_length=2), cut=cuts)
    def test_future_tokens_do_not_change_past_logits(model, tokens_BT, cut): ...

Each value is a function whose arguments are fixtures of the check or inputs drawn before it, and
which returns a hypothesis strategy. So an input may depend on the model and on other inputs. The
inputs themselves stand in ``tokens`` and ``operators``.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import pickle
import time
from typing import TYPE_CHECKING, Any

import hypothesis
from hypothesis import configuration
from hypothesis import strategies as st
from hypothesis.internal import constants_ast
from hypothesis.internal.conjecture import providers

from conformance import evidence
from conformance.errors import CandidateCrashed, CandidateTimeout
from conformance.inputs.tokens import (
    batches_of,
    crops,
    cuts,
    documents,
    harmless_rows,
    large_batches,
    later_tokens,
    long_rows,
    masks,
    pad_tokens,
    padded_positions,
    paddings,
    plain_rows,
    pools,
    position_gaps,
    programs,
    row_choices,
    rows,
    rows_of_two_pages,
    sides,
    splits,
    steady_rows,
    surroundings,
    tall_batches,
    token_batches,
    wrapping_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Strategy = st.SearchStrategy[Any]
    Input = Callable[..., Strategy]
    Made = dict[str, tuple[Mapping[str, Any], Strategy]]

__all__ = [
    "batches_of",
    "crops",
    "cuts",
    "documents",
    "examples",
    "given",
    "harmless_rows",
    "keep_files_in",
    "large_batches",
    "later_tokens",
    "long_rows",
    "masks",
    "pad_tokens",
    "padded_positions",
    "paddings",
    "plain_rows",
    "pools",
    "position_gaps",
    "programs",
    "row_choices",
    "rows",
    "rows_of_two_pages",
    "seed",
    "sides",
    "splits",
    "steady_rows",
    "surroundings",
    "tall_batches",
    "token_batches",
    "wrapping_rows",
]

# hypothesis draws some numbers from the source of modules that happen to be loaded, unless they are
# installed. The same seed would draw otherwise in a checkout, or in another of a run's processes.
if hasattr(providers, "_get_local_constants"):
    providers._get_local_constants = constants_ast.Constants  # noqa: SLF001  # no public way

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


def given(
    most: int | None = None, /, **inputs: Input
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Feed a check with generated inputs, and keep them for the counterexample.

    Args:
        most: how many at most, where each of them holds many cases; usually twenty.
        inputs: how to draw each, by the names that the check gives them. A strategy is made once
            for as long as its arguments are the same: hypothesis validates each one that it meets.
    """
    settings = _SETTINGS if most is None else hypothesis.settings(_SETTINGS, max_examples=most)
    made: Made = {}

    def decorate(check: Callable[..., None]) -> Callable[..., None]:
        fixtures = [p for p in inspect.signature(check).parameters if p not in inputs]
        names = [*fixtures, "data"]

        @functools.wraps(check)
        def drawn(*positional: Any, **named: Any) -> None:
            arguments = {**dict(zip(names, positional, strict=False)), **named}
            data = arguments.pop("data")
            _run(check, arguments, _drawn(inputs, arguments, data, made))

        drawn.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
        )
        generated = settings(hypothesis.given(data=st.data())(drawn))
        generated.llm_check = check  # type: ignore[attr-defined]  # what a replay calls
        generated.llm_inputs = inputs  # type: ignore[attr-defined]  # what `examples` draws
        generated.llm_most = most  # type: ignore[attr-defined]  # and how often
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
    made: Made = {}

    def collect(data: st.DataObject) -> None:
        found.append(_drawn(inputs, arguments, data, made))

    most = min(count, check.llm_most or count)  # type: ignore[attr-defined]
    frozen = hypothesis.settings(_SETTINGS, max_examples=most, phases=[hypothesis.Phase.generate])
    hypothesis.seed(seed)(frozen(hypothesis.given(data=st.data())(collect)))()
    return found


def _drawn(
    inputs: Mapping[str, Input], arguments: dict[str, Any], data: st.DataObject, made: Made
) -> dict[str, Any]:
    """Draw one input after the other; each may depend on those before it."""
    values: dict[str, Any] = {}
    for name, make in inputs.items():
        wanted = _wanted(make, {**arguments, **values})
        if name not in made or not _same(wanted, made[name][0]):
            made[name] = wanted, make(**wanted)
        values[name] = data.draw(made[name][1], label=name)
    return values


def _same(these: Mapping[str, Any], those: Mapping[str, Any]) -> bool:
    return these.keys() == those.keys() and all(those[n] is value for n, value in these.items())


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
