r"""Patterns of tokenizer files in Python's ``re``: Unicode's classes written out as characters.

Files are written for Oniguruma or Rust, which know ``\p{L}`` and take ``\s`` for Unicode's property
White_Space. Python knows no ``\p`` and takes U+001C to U+001F for spaces. What is not understood
completely is refused, never guessed: a pattern that is nearly right cuts nearly every text right.
"""

from __future__ import annotations

import functools
import itertools
import re
import sys
import unicodedata
from typing import TYPE_CHECKING

from conformance.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = tuple[int, int, str]

WHITE_SPACE = frozenset(
    {
        *(*range(0x9, 0xE), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)),
        *(0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
    }
)
"""Unicode's property White_Space, PropList.txt; it has not changed since Unicode 6.3."""
_CATEGORIES = frozenset(
    {
        *("L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No"),
        *("P", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So"),
        *("Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Co", "Cn"),
    }
)
_PART = re.compile(
    r"\\(?P<property>[pP])\{(?P<name>\^?\w+)\}|\\(?P<class>[sSdD])"
    r"|\\(?P<plain>[rntfv]|[^\w\s]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})|(?P<bracket>\[\^?|\])"
    r"|\(\?(?:i:|[:!=]|<[!=])|(?P<other>.)",
    re.DOTALL,
)
_REFUSED = ("&&", "[[:", "--", "~~", "||")
"""What other engines take for operations on classes, or names of them."""


def check(pattern: str) -> None:
    """Refuse a pattern that is not understood completely, without the work of compiling it.

    Raises:
        FormatError: it is not.
    """
    _compiled(pattern, _any_class)


def _any_class(_name: str, _negated: bool) -> str:  # noqa: FBT001  # as _written
    """Stand for a class where only the form of a pattern is looked at."""
    return "a-b"


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern of a tokenizer file for Python.

    Raises:
        FormatError: something in it is not understood completely.
    """
    return _compiled(pattern, _written)


def _compiled(pattern: str, written: Callable[[str, bool], str]) -> re.Pattern[str]:
    if any(one in pattern for one in _REFUSED):
        raise _unknown(pattern, "an operation on classes")
    inside, out, end = False, [], 0
    for part in _PART.finditer(pattern):
        end = part.end()
        name, negated = _named(part, pattern)
        text = written(name, negated) if name else _plain(part, pattern, inside=inside)
        out.append(f"[{text}]" if name and not inside else text)
        inside = part["bracket"] != "]" if part["bracket"] else inside
    if end != len(pattern) or inside:
        raise _unknown(pattern, "a class that does not end")
    try:
        return re.compile("".join(out))
    except re.error as error:
        raise _unknown(pattern, str(error)) from error


def _named(part: re.Match[str], pattern: str) -> tuple[str, bool]:
    """Return the class of Unicode's that a part names, and whether all but it is meant."""
    if part["class"]:
        return {"s": "White_Space", "d": "Nd"}[part["class"].lower()], part["class"].isupper()
    if not part["property"]:
        return "", False
    name = part["name"].removeprefix("^")
    if name not in _CATEGORIES:
        raise _unknown(pattern, f"the property {name}")
    return name, (part["property"] == "P") != part["name"].startswith("^")


def _plain(part: re.Match[str], pattern: str, *, inside: bool) -> str:
    """Return a part that means the same to Python."""
    if part["bracket"] and inside == part["bracket"].startswith("["):
        raise _unknown(pattern, "a bracket inside or outside a class")
    if part["other"] == "\\":
        raise _unknown(pattern, f"\\{pattern[part.end() : part.end() + 1]}")
    if part["other"] in {"^", "$", "."} and not inside:
        raise _unknown(pattern, f"{part['other']}, which engines read differently")
    return part[0]


@functools.cache
def _written(name: str, negated: bool) -> str:  # noqa: FBT001  # a class's two halves
    """Return the characters of a class as ranges, in the Unicode version of this Python."""
    wanted = (run for run in _runs() if _is_in(run, name) != negated)
    return "".join(f"{_escaped(first)}-{_escaped(last)}" for first, last, _ in wanted)


def _is_in(run: Run, name: str) -> bool:
    if name == "White_Space":
        return run[0] in WHITE_SPACE
    return run[2].startswith(name)


@functools.cache
def _runs() -> tuple[Run, ...]:
    """Return all code points as runs (first, last, category), cut at spaces too."""
    found: list[Run] = []
    for key, codes in itertools.groupby(range(sys.maxunicode + 1), _kind):
        run = list(codes)
        found.append((run[0], run[-1], key[0]))
    return tuple(found)


def _kind(code: int) -> tuple[str, bool]:
    return unicodedata.category(chr(code)), code in WHITE_SPACE


def _escaped(code: int) -> str:
    return f"\\U{code:08x}"


def _unknown(pattern: str, what: str) -> FormatError:
    return FormatError(
        "L3-PATTERN-UNKNOWN",
        f"pattern {pattern!r} has {what}, which the suite cannot hold a candidate to",
        "/pre_tokenizer",
    )
