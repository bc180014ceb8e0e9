"""What a decoder's config means as a text that people read: ``schemas/model-config.md``.

``python -m conformance.config_text`` writes it (so does ``make docs``), and a test fails when it is
stale. What a field is, where it comes from and what went wrong with it stands in the schema; what
those bugs and mutants are, in ``mutants/bugs.json`` and with the mutants.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance import mutants, schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Node = Mapping[str, Any]

KIND = "model-config"
FILE = schema.SCHEMAS / f"{KIND}.md"
COMMAND = "python -m conformance.config_text"
_BUGS = Path(mutants.__file__).with_name("bugs.json")
_OPENING = (
    "Every field of a decoder's config: what it says, where it comes from, which bugs came from "
    "getting it wrong, and which of the suite's mutants get it wrong. `{kind}.schema.json` "
    "beside this page is the source, from which `{command}` generates it. `reference_model/"
    "config.py` holds the same record in Python. What a field is where it is absent is neutral: a "
    "model without the feature."
)


def text() -> str:
    """Return the text."""
    document = schema.schema_of(KIND)
    parts = [
        f"# {document['title']}",
        _OPENING.format(kind=KIND, command=COMMAND),
        *_part("The decoder", document),
    ]
    for node in document["$defs"].values():
        parts += _part(node["title"], node)
    return "\n\n".join(parts) + "\n"


def fields(node: Node) -> dict[str, Node]:
    """Return what describes each field of a record, by name; extensions are none."""
    return {name: one for name, one in node["properties"].items() if name != "x"}


def _part(title: str, node: Node) -> Iterator[str]:
    yield f"## {title}"
    for name, one in fields(node).items():
        yield "\n".join(_field(name, one))


def _field(name: str, one: Node) -> Iterator[str]:
    yield f"### `{name}`\n"
    yield f"{one['description']}\n"
    absent = f"absent it is `{json.dumps(one['default'])}`" if "default" in one else "never absent"
    yield f"- Is {_kind(one)}; {absent}"
    if "x-source" in one:
        yield f"- Source: {one['x-source']}"
    for bug in one.get("x-bugs", ()):
        row = _bugs()[bug]
        threads = ", ".join(row["threads"])
        yield f"- Bug {bug}: {row['bug']}" + (f" ({threads})" if threads else "")
    for mutant in one.get("x-mutants", ()):
        yield f"- Mutant `{mutant}`: {_first_line(mutants.all_mutants()[mutant].summary)}"
    if "x-unmutated" in one:
        yield f"- No mutant: {one['x-unmutated']}"


@functools.cache
def _bugs() -> dict[str, Any]:
    return {row["id"]: row for row in json.loads(_BUGS.read_text(encoding="utf-8"))}


def _first_line(summary: str) -> str:
    return " ".join(summary.split("\n\n", maxsplit=1)[0].split())


def _kind(one: Node) -> str:
    """Return what values there are, in words."""
    if "const" in one:
        return f"`{json.dumps(one['const'])}`"
    if "enum" in one:
        return "one of " + ", ".join(f"`{json.dumps(value)}`" for value in one["enum"])
    if "$ref" in one:
        definition = schema.schema_of(KIND)["$defs"][one["$ref"].rpartition("/")[2]]
        return f"an object: {definition['title']}"
    if "oneOf" in one:
        return ", or ".join(_kind(choice) for choice in one["oneOf"])
    types = [one["type"]] if isinstance(one["type"], str) else one["type"]
    return " or ".join(_WORDS[name] for name in types)


_WORDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "`null`",
    "number": "a number",
}


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(FILE)  # noqa: T201  # the command's own output
