"""The options that say which run is meant: shared by ``run`` and ``plan``."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from conformance import candidate as candidates
from conformance.errors import UsageError
from conformance.selection import Selection, from_options

if TYPE_CHECKING:
    from collections.abc import Collection


_PROFILE = "the profile (default: decoder; equivalence with --against, release with --model)"
_JOBS = (
    "processes that share the run, and the cores (default: 1); a model's checks stay in one, and "
    "OMP_NUM_THREADS says how many threads each may use"
)


def add_selection(parser: argparse.ArgumentParser, unshown: Collection[str] = ()) -> None:
    """Declare the options of a selection.

    Args:
        parser: the parser of a verb.
        unshown: options that the verb takes, so that of a command only the verb changes, and that
            its help does not name: they change nothing there.
    """

    def add(name: str, value: str, text: str, action: str = "store") -> None:
        told = argparse.SUPPRESS if name in unshown else text
        parser.add_argument(f"--{name}", metavar=value, help=told, action=action)

    add("candidate", "CANDIDATE", "adapter[:target][?key=value&...], such as onnxruntime")
    add("against", "CANDIDATE", "a second candidate, which the first is held against")
    add("profile", "PROFILE", _PROFILE)
    add("model", "DIR", "a model folder of your own; may be repeated", "append")
    add("only", "ID", "only this requirement; may be repeated", "append")
    add("claims", "FILE", "what the candidate supports, instead of what its adapter says")
    add("out", "DIR", "the run folder (default: conformance-results/<candidate>-<profile>)")
    add("seed", "N", "seed of the generated inputs (default: a random one, recorded)")
    add("replay", "FILE", "run one stored counterexample and nothing else")
    parser.add_argument(
        "--isolate", action="store_true", help="run the candidate in a process of its own"
    )
    add("jobs", "N", _JOBS)
    add("call-limit", "SECONDS", "time limit of one call, with --isolate (default: 120)")
    add("memory-limit", "GIB", "memory limit of the candidate, with --isolate (default: none)")


def selected(options: argparse.Namespace) -> Selection:
    """Return the selection that was asked for.

    Raises:
        UsageError: no candidate is named, a number is none, or options do not fit together.
    """
    if not options.candidate:
        known = ", ".join(candidates.built_in_adapters())
        raise UsageError(f"name a candidate: --candidate adapter[:target]. Adapters: {known}.")
    names = {field.name for field in dataclasses.fields(Selection)}
    given = {name: value for name, value in vars(options).items() if value is not None}
    return from_options({name: value for name, value in given.items() if name in names})
