"""List what the suite knows: adapters, models, mutants, profiles, requirements or schemas.

Without a word it says which lists there are.
"""

from __future__ import annotations

import ast
from importlib import resources
from typing import TYPE_CHECKING

from tabulate import tabulate

from conformance import candidate as candidates
from conformance import schema, spec
from conformance.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from conformance.mutants import Mutant

    Rows = Sequence[tuple[str, ...]]

EXAMPLES = (
    "llm-conformance list adapters",
    "llm-conformance list requirements",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what to list."""
    parser.add_argument("what", metavar="WHAT", nargs="?", help=", ".join(LISTS))


def run(options: argparse.Namespace) -> int:
    """Print one list, with a head; without a name, the lists and how long they are."""
    if options.what is None:
        lists = [(name, str(len(rows()))) for name, (_, rows) in LISTS.items()]
        print(tabulate(lists, ("list", "entries"), tablefmt="simple", disable_numparse=True))
        return 0
    if options.what not in LISTS:
        raise UsageError(f"cannot list {options.what!r}.{did_you_mean(options.what, LISTS)}")
    head, rows = LISTS[options.what]
    print(tabulate(rows(), head, tablefmt="simple", disable_numparse=True))
    return 0


def _adapters() -> Rows:
    """Return the adapters with the first sentence of each; none is imported."""
    folder = resources.files("conformance.adapters")
    return [(name, _summary(folder / f"{name}.py")) for name in candidates.built_in_adapters()]


def _summary(file: resources.abc.Traversable) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".").replace("``", "")


def _profiles() -> Rows:
    return [
        (p.name, str(len(p.requirements)), ", ".join(p.precisions), p.title)
        for p in spec.load().profiles.values()
    ]


def _models() -> Rows:
    from reference_model import zoo  # noqa: PLC0415  # only this list needs it

    return [(model.name, model.summary) for model in zoo.ALL.values()]


def _mutants() -> Rows:
    from conformance import mutants  # noqa: PLC0415  # only this list needs them

    found = mutants.all_mutants().values()
    return [(m.name, _killed_by(m), m.bug, m.summary) for m in found]


def _killed_by(mutant: Mutant) -> str:
    if mutant.kills:
        return ", ".join(mutant.kills)
    return "nothing: no fault" if mutant.equivalent else "nothing yet"


def _schemas() -> Rows:
    return [(kind, _sentence(schema.schema_of(kind)["description"])) for kind in schema.kinds()]


def _sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".")


LISTS: dict[str, tuple[tuple[str, ...], Callable[[], Rows]]] = {
    "adapters": (("adapter", "what it runs"), _adapters),
    "models": (("model", "what it is"), _models),
    "mutants": (("mutant", "killed by", "historic bug", "fault"), _mutants),
    "profiles": (("profile", "requirements", "precisions", "title"), _profiles),
    "requirements": (
        ("requirement", "level", "statement"),
        lambda: [(r.id, r.level.value, r.statement) for r in spec.load().requirements.values()],
    ),
    "schemas": (("kind", "what it describes"), _schemas),
}
"""Each list by its name: its head, and where its rows come from."""
