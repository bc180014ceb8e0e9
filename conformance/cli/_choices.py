"""Options that take one of a few words: an unknown one is answered with the nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def one_of(what: str, known: Collection[str]) -> Callable[[str], str]:
    """Return the ``type`` of an argument; argparse itself would print its usage and no hint."""

    def check(word: str) -> str:
        if word not in known:
            raise UsageError(f"there is no {what} {word!r}.{did_you_mean(word, known)}")
        return word

    return check
