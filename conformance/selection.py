"""What a user asked for, whichever command line it came from: ours or pytest's."""

from __future__ import annotations

import dataclasses
import re
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

_NAMED, _NAME = 3, 200
"""How many names stand in the name of a run folder, and how long that may be; systems allow 255."""
_NUMBERS: dict[str, type[int | float]] = {
    "seed": int,
    "jobs": int,
    "call_limit": float,
    "memory_limit": float,
}
_SEEDS = 1 << 53
"""Seeds stay below 2**53, so that every JSON reader keeps them exact."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A run as it was asked for. The field names are those of the options."""

    candidate: str
    against: str = ""
    """A second candidate, which the first is held against."""
    profile: str = ""
    model: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    claims: str = ""
    out: str = ""
    seed: int | None = None
    isolate: bool = False
    call_limit: float = 120.0
    """Seconds."""
    memory_limit: float | None = None
    """GiB."""
    replay: str = ""
    jobs: int = 1
    """Processes that share the run."""

    @property
    def profile_name(self) -> str:
        """The profile; unless named, a second candidate or a model of one's own implies it."""
        implied = "equivalence" if self.against else "release" if self.model else "decoder"
        return self.profile or implied

    @property
    def folder(self) -> Path:
        """The run folder; by its name one sees what was asked for.

        Part of a profile, and a replay, have folders of their own: they must not replace the
        report that they explain.
        """
        if self.out:
            return Path(self.out)
        words = [self.candidate, *(["against", self.against] if self.against else [])]
        words += [self.profile_name]
        words += _few([Path(folder).resolve().name for folder in self.model])
        words += ["only", *_few(self.only)] if self.only else []
        words += ["replay"] if self.replay else []
        name = re.sub(r"[^A-Za-z0-9._=-]+", "-", "-".join(words))
        return Path("conformance-results") / name.strip("-.")[:_NAME]

    def seeded(self) -> Selection:
        """Return the same selection with a seed, a random one where none was given."""
        return self if self.seed is not None else dataclasses.replace(self, seed=_random_seed())

    def options(self, prefix: str = "--", *, leave_out: tuple[str, ...] = ()) -> list[str]:
        """Return the selection as command line options that read back to the same selection."""
        words: list[str] = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value == field.default or field.name in leave_out:
                continue
            option = prefix + field.name.replace("_", "-")
            if value is True:
                words.append(option)
            else:
                values = value if isinstance(value, tuple) else (value,)
                words += [f"{option}={v}" for v in values]
        return words

    def command(self, **changes: Any) -> str:
        """Return the command that repeats this run, with options changed, for a shell."""
        leave_out = ("out", "seed", "replay", "only", "jobs")
        changed = dataclasses.replace(self, **changes)
        kept = tuple(name for name in leave_out if name not in changes)
        return shlex.join(["llm-conformance", "run", *changed.options(leave_out=kept)])


def from_pytest(config: pytest.Config) -> Selection:
    """Read the selection from pytest's options.

    Raises:
        UsageError: a number is none, or options do not fit together.
    """
    fields = [field.name for field in dataclasses.fields(Selection)]
    raw = {name: config.getoption("--llm-" + name.replace("_", "-")) for name in fields}
    return from_options({name: value for name, value in raw.items() if value is not None})


def from_options(raw: dict[str, object]) -> Selection:
    """Build a selection from the options that were given, checked.

    Raises:
        UsageError: a number is none, or options do not fit together.
    """
    fields = dict(raw)
    for name, kind in _NUMBERS.items():
        if name in fields:
            fields[name] = _number(name, str(fields[name]), kind)
    for name in ("model", "only"):
        fields[name] = tuple(fields.get(name) or ())  # type: ignore[arg-type]
    selection = Selection(**fields)  # type: ignore[arg-type]
    for limit in ("memory_limit", "call_limit"):
        if limit in raw and not selection.isolate:
            raise UsageError(
                f"--{limit.replace('_', '-')} needs --isolate: only a process of its own can be "
                "limited"
            )
    if selection.replay and selection.folder.resolve() in Path(selection.replay).resolve().parents:
        raise UsageError(
            f"counterexample {selection.replay!r} lies in the run folder {selection.folder}, which "
            "a run clears: name another folder with --out"
        )
    return selection


def _number(name: str, text: str, kind: type[int | float]) -> int | float:
    option = name.replace("_", "-")
    try:
        value = kind(text)
    except ValueError:
        raise UsageError(f"--{option} {text!r} is not a number") from None
    if name == "seed" and not 0 <= value < _SEEDS:
        raise UsageError(f"--seed {value} is outside 0..2**53-1")
    if name != "seed" and not 0 < value < float("inf"):
        raise UsageError(f"--{option} {text} is not a positive number")
    return value


def _few(names: Sequence[str]) -> list[str]:
    """Return names for the name of a folder, whose length is limited."""
    more = [f"and-{len(names) - _NAMED}-more"] if len(names) > _NAMED else []
    return [*names[:_NAMED], *more]


def _random_seed() -> int:
    return secrets.randbelow(1_000_000)
