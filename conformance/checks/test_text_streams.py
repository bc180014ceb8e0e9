"""Ids that come one by one: the text that comes out, when, and of which stream."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import pytest

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.text import KINDS, cuts, ids, plain_texts, special_tokens, texts

if TYPE_CHECKING:
    from conformance.checked import CheckedTokenizer

_ANY = 6
"""Of one kind; there are many kinds."""
_BROKEN = "\N{REPLACEMENT CHARACTER}"
_SHORT = tuple(kind for kind in KINDS if kind != "long")
"""Kinds whose every beginning is decoded."""
_BROKEN_OFTEN = ("emoji", "scripts", "words")
"""Kinds of which streams hold bytes, and one of which they hold none."""


@requirement("TOK-015")
@pytest.mark.parametrize("kind", KINDS, ids=KINDS)
@given(_ANY, texts=texts, special=special_tokens, cuts=cuts)
def test_text_that_comes_in_pieces_is_the_whole_text(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str], special: list[str], cuts: list[int]
) -> None:
    steering = [tokenizer.facts.special[one] for one in special]
    rows = [list(one.ids) for one in tokenizer.encode(texts, add_special=True)]
    rows += [[*row[: cut % (len(row) + 1)], *steering, *row] for row in rows[:1] for cut in cuts]
    for skip in (False, True):
        found = ["".join(tokenizer.streamed(row, skip_special=skip)) for row in rows]
        judge.same_texts(found, tokenizer.decode(rows, skip_special=skip))


@requirement("TOK-015")
@given(ids=ids)
def test_any_ids_in_pieces_are_the_text_that_they_are_together(
    tokenizer: CheckedTokenizer, ids: list[int]
) -> None:
    judge.same_texts(["".join(tokenizer.streamed(ids))], [tokenizer.text(ids)])


@requirement("TOK-016")
@pytest.mark.parametrize("kind", _SHORT, ids=_SHORT)
@given(_ANY, texts=plain_texts)
def test_whole_characters_come_out_with_the_id_that_ends_with_one(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str]
) -> None:
    for one in tokenizer.encode(texts):
        found = accumulate(tokenizer.streamed(one.ids)[:-1])
        beginnings = [one.ids[: end + 1] for end in range(len(one.ids))]
        pairs = zip(found, tokenizer.decode(beginnings), strict=True)
        whole = [("", ""), *(pair for pair in pairs if not pair[1].endswith(_BROKEN))]
        judge.same_texts([out for out, _ in whole], [text for _, text in whole])


@requirement("TOK-017")
@pytest.mark.parametrize("kind", _BROKEN_OFTEN, ids=_BROKEN_OFTEN)
@given(_ANY, texts=texts)
def test_streams_know_nothing_of_each_other(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str]
) -> None:
    rows = [list(one.ids) for one in tokenizer.encode(texts)]
    abandoned = tokenizer.stream()
    for one in rows[0][:1]:
        abandoned.add(one)  # and never finished: its user has gone
    streams = [tokenizer.stream() for _ in rows]
    found = [""] * len(rows)
    for place in range(max(map(len, rows))):
        for i, row in enumerate(rows):
            found[i] += streams[i].add(row[place]) if place < len(row) else ""
    ends = [stream.finish() for stream in streams]
    told = [text + end for text, end in zip(found, ends, strict=True)]
    judge.same_texts(told, tokenizer.decode(rows))
