"""What a pytest item is to the standard: the requirement that it decides, its case, its result.

A result is made from what happened nearest to the check: other plugins may swallow an error,
run an item twice, or replace what is called, and none of that may read as passed.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from conformance import counterexamples, evidence, spec
from conformance.counterexamples import Counterexample
from conformance.errors import ConformanceError, Nonconformity
from conformance.integrity import Watch
from conformance.raised import clean
from conformance.records import CaseResult, Verdict
from conformance.verdicts import verdict_of

if TYPE_CHECKING:
    from conformance.run_folder import RunFolder
    from conformance.selection import Selection

SINK = pytest.StashKey[evidence.Sink]()
"""What a case measured."""
ERROR = pytest.StashKey[BaseException | None]()
"""What its check raised, whatever became of it on its way to pytest."""
WATCH = pytest.StashKey[Watch]()
"""What the suite's code was when the run began."""
_MESSAGE_CHARACTERS = 4000
_FIXTURES = "conformance.fixtures"
_OURS = frozenset(
    {
        *("subject", "candidate", "model", "other_model", "package"),
        *("operators", "other_operators", "sampler", "tokenizer"),
    }
)


class _Undecided(Exception):  # noqa: N818  # reads as the fact that it states
    """A check ended normally, and yet it has decided nothing."""


def requirement_of(item: pytest.Item) -> str | None:
    """Return the id of the requirement that an item decides; None for a test that is not ours.

    Raises:
        pytest.UsageError: it names a requirement that does not exist.
    """
    mark = item.get_closest_marker("requirement")
    if mark is None:
        return None
    if mark.args[0] not in spec.load().requirements:
        raise pytest.UsageError(f"{item.nodeid} names no requirement: {mark.args[0]!r}")
    return str(mark.args[0])


def case_id(item: pytest.Item) -> str:
    """Return ``function/model/parameter``: the same wherever pytest was started."""
    name = getattr(item, "originalname", item.name)
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return str(name)
    model = callspec.params.get("model")
    rest = [part for part in callspec._idlist if part != model]  # noqa: SLF001  # no public way
    return "/".join([name, *([model] if model else []), *rest])


def group_of(item: pytest.Item) -> str:
    """Return what an item shares its costs with: the model that it runs on, or its module."""
    callspec = getattr(item, "callspec", None)
    model = None if callspec is None else callspec.params.get("model")
    return str(model or item.nodeid.partition("::")[0].rpartition("/")[2])


def check_fixtures(item: pytest.Item) -> None:
    """Refuse an item whose fixtures somebody replaced.

    Raises:
        pytest.UsageError: a conftest or plugin defines a fixture of the suite's name.
    """
    found = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]  # noqa: SLF001
    for name in sorted(_OURS & set(found)):
        function = found[name][-1].func
        if function.__module__ != _FIXTURES:
            raise pytest.UsageError(
                f"fixture {name!r} of the conformance checks is replaced by the one in "
                f"{function.__code__.co_filename}: rename that one, or use `llm-conformance run`, "
                "which loads no conftest and no plugin"
            )


def replay(item: pytest.Item, example: Counterexample) -> None:
    """Let an item run its check once, on the inputs of a counterexample."""
    check = getattr(item.obj, "llm_check", None)  # type: ignore[attr-defined]
    if check is None:  # it draws no inputs: running it is replaying it
        return

    def replayed(**arguments: Any) -> None:
        evidence.current().inputs = example.inputs
        check(**{**arguments, **example.inputs})

    item.obj = replayed  # type: ignore[attr-defined]


def result(
    item: pytest.Item, call: pytest.CallInfo[None], selection: Selection, folder: RunFolder
) -> CaseResult:
    """Return a case's result; a failing input is stored as its counterexample."""
    sink = item.stash.get(SINK, evidence.Sink())
    error = _what_happened(item, call, sink)
    verdict, flaky = verdict_of(error)
    case = CaseResult(
        id=case_id(item),
        requirement=str(requirement_of(item)),
        verdict=verdict,
        duration=call.duration,
        candidate_seconds=sink.seconds.get("candidate", 0.0),
        oracle_seconds=sink.seconds.get("oracle", 0.0),
        flaky=flaky,
        measurements=sink.measurements,
        notes=tuple(clean(note, _MESSAGE_CHARACTERS) for note in sink.notes),
    )
    if error is None:
        return case
    if verdict in (Verdict.NOT_RUN, Verdict.NOT_APPLICABLE):  # nothing evaluated: nothing to show
        return dataclasses.replace(case, message=clean(_message(error), _MESSAGE_CHARACTERS))
    return _with_message(case, error, sink, selection, folder)


def _what_happened(
    item: pytest.Item, call: pytest.CallInfo[None], sink: evidence.Sink
) -> BaseException | None:
    raised = item.stash.get(ERROR, None) if call.when == "call" else None
    if raised is None and call.excinfo is not None:
        raised = call.excinfo.value
    if raised is not None or call.when != "call":
        return raised
    if replaced := item.config.stash[WATCH].replaced():
        return _Undecided(replaced)
    beyond = [measured for measured in sink.measurements if not measured.ok]
    if beyond:
        return Nonconformity(beyond[0])
    if not any(measured.count for measured in sink.measurements):
        return _Undecided(
            "the check ended without having measured anything; is it replaced by a plugin?"
        )
    return None


def _with_message(
    case: CaseResult,
    error: BaseException,
    sink: evidence.Sink,
    selection: Selection,
    folder: RunFolder,
) -> CaseResult:
    lines = [_message(error)]
    reproduce = selection.command(only=(case.requirement,), seed=selection.seed)
    kept = ""
    if sink.inputs:
        lines.append(counterexamples.summary(sink.inputs))
        example = Counterexample(case.requirement, case.id, selection.candidate, sink.inputs)
        name = case.id.replace("/", "-")
        kept = folder.keep_counterexample(name, counterexamples.to_document(example))
        reproduce = selection.command(replay=str(selection.folder / kept))
    message = clean("\n".join(lines), _MESSAGE_CHARACTERS)
    return dataclasses.replace(case, message=message, counterexample=kept, reproduce=reproduce)


def _message(error: BaseException) -> str:
    """Return what went wrong in words; of a group, the candidate's part."""
    if isinstance(error, BaseExceptionGroup):
        return " | ".join(dict.fromkeys(_message(inner) for inner in error.exceptions))
    if isinstance(error, ConformanceError | _Undecided):
        return str(error)
    return f"{type(error).__name__}: {error}"
