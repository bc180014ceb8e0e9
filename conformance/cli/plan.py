"""Say what would run, what would not and why, and how long it took last time; run no check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.cli._selection import add_selection, selected

if TYPE_CHECKING:
    import argparse

    from conformance.records import CandidateInfo

_OF_RUNS = ("seed", "replay", "jobs", "call-limit", "memory-limit")

EXAMPLES = (
    "llm-conformance plan --candidate onnxruntime",
    "llm-conformance plan --candidate ./my_adapter.py:device0 --claims claims.json",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of a run."""
    add_selection(parser, unshown=_OF_RUNS)


def _described(info: CandidateInfo) -> str:
    claims = ", ".join(sorted(info.claims.capabilities)) or "nothing"
    who = f"{info.name} {info.version} ({info.runtime}) on {info.device}"
    return f"{who}; {info.claims.precision}; claims {claims}"


def run(options: argparse.Namespace) -> int:
    """Open the candidate, and print what a run of the selection would do."""
    from conformance import catalogue, plan, spec  # noqa: PLC0415  # `list` answers without them
    from conformance.run_folder import RunFolder  # noqa: PLC0415  # the same
    from conformance.subject import open_subject  # noqa: PLC0415  # the same

    selection = selected(options)
    standard = spec.load()
    profile = spec.profile(standard, selection.profile_name)
    with open_subject(selection, standard, profile) as subject:
        claims, against = subject.claims()
        planned = plan.plan(standard, profile, claims, selection.only, against)
        second = None if subject.against is None else subject.against.info
        info, models = subject.info, list(subject.models)
    print(_described(info))
    if second is not None:
        print(f"held against {_described(second)}")
    print(f"profile {profile.name}\nmodels {', '.join(models)}\n")
    past = RunFolder(selection.folder).durations()
    print(plan.describe(planned, catalogue.all_checks(), past, models=len(models)))
    return 0
