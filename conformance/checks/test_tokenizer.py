"""Text to ids and back: what comes back, what is never made of text, where each id stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import judge
from conformance.checks import requirement
from conformance.inputs import given
from conformance.inputs.text import (
    KINDS,
    cuts,
    ids,
    plain_texts,
    special_tokens,
    spelling_texts,
    texts,
    word_texts,
)
from conformance.oracles import text as declared

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.checked import CheckedTokenizer

    Check = Callable[..., None]

_ANY = 6
"""Of one kind; there are many kinds."""
_FEW = ("words", "spaces", "emoji")
"""Kinds for what no kind of text is special to."""


def _on(*kinds: str) -> Callable[[Check], Check]:
    return pytest.mark.parametrize("kind", kinds, ids=kinds)


@requirement("TOK-001")
@_on(*KINDS)
@given(_ANY, texts=texts)
def test_every_id_is_one_of_the_declared(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str]
) -> None:
    found = tokenizer.encode([*texts, *tokenizer.spellings], add_special=True, parse_special=True)
    judge.ids_exist([one.ids for one in found], tokenizer.facts)


@requirement("TOK-002")
@_on(*KINDS)
@given(_ANY, texts=texts)
def test_decoded_text_is_the_text_that_was_encoded(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str]
) -> None:
    found = tokenizer.decode([one.ids for one in tokenizer.encode(texts)])
    judge.same_texts(found, [declared.decoded_text(text, tokenizer.facts) for text in texts])


@requirement("TOK-003")
@_on(*_FEW)
@given(_ANY, texts=texts, others=texts)
def test_what_was_asked_before_changes_no_answer(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str], others: list[str]
) -> None:
    first = [one.ids for one in tokenizer.encode(texts)]
    told = tokenizer.decode(first)
    tokenizer.decode([one.ids for one in tokenizer.encode(others, parse_special=True)])
    again = [one.ids for one in tokenizer.encode(texts)]
    judge.same_ids(again, first, texts)
    judge.same_texts(tokenizer.decode(first), told)


@requirement("TOK-004")
@_on(*_FEW, "long")
@given(_ANY, texts=texts)
def test_a_text_of_a_batch_is_treated_as_alone(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str]
) -> None:
    together = [one.ids for one in tokenizer.encode(texts, add_special=True)]
    alone = [tokenizer.ids(text, add_special=True) for text in texts]
    judge.same_ids(together, alone, texts)
    judge.same_texts(tokenizer.decode(together), [tokenizer.text(row) for row in alone])


@requirement("TOK-005")
def test_an_empty_text_has_no_ids_and_none_make_an_empty_text(tokenizer: CheckedTokenizer) -> None:
    facts = tokenizer.facts
    ends = [one for one in (facts.bos, facts.eos) if one is not None]
    found = [tokenizer.ids(""), tokenizer.ids("", add_special=True)]
    judge.same_ids(found, [[], ends], ["", ""])
    judge.same_texts([tokenizer.text([])], [""])


@requirement("TOK-006")
@given(texts=spelling_texts)
def test_no_special_token_is_made_by_text(tokenizer: CheckedTokenizer, texts: list[str]) -> None:
    judge.none_special([one.ids for one in tokenizer.encode(texts)], tokenizer.facts)


@requirement("TOK-007")
@given(texts=spelling_texts)
def test_spelled_special_tokens_are_parsed_where_that_is_asked(
    tokenizer: CheckedTokenizer, texts: list[str]
) -> None:
    special = tokenizer.facts.special
    steering = set(special.values())
    found = tokenizer.encode(texts, parse_special=True)
    made = [[one for one in each.ids if one in steering] for each in found]
    judge.same_ids(made, [declared.spelled_in(text, special) for text in texts], texts)


@requirement("TOK-008")
@_on(*_FEW, "unseen")
@given(_ANY, texts=texts)
def test_a_text_begins_and_ends_once_and_only_where_asked(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str]
) -> None:
    facts = tokenizer.facts
    bos, eos = ([] if one is None else [one] for one in (facts.bos, facts.eos))
    plain = [one.ids for one in tokenizer.encode(texts)]
    framed = [one.ids for one in tokenizer.encode(texts, add_special=True)]
    judge.none_special(plain, facts)
    judge.same_ids(framed, [[*bos, *row, *eos] for row in plain], texts)


@requirement("TOK-009")
@_on(*_FEW, "tidied", "lines")
@given(_ANY, texts=texts, special=special_tokens)
def test_skipping_leaves_out_special_tokens_alone(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str], special: list[str]
) -> None:
    plain = [one.ids for one in tokenizer.encode([*texts, *tokenizer.spellings])]
    steering = [tokenizer.facts.special[one] for one in special]
    mixed = [[*steering, *row, *steering, *row, *steering] for row in plain]
    found = tokenizer.decode(mixed, skip_special=True)
    rest = [[one for one in row if one not in tokenizer.unknown] for row in plain]
    judge.same_texts(found, tokenizer.decode([[*row, *row] for row in rest]))


@requirement("TOK-010")
@_on(*_FEW, "tidied", "lines")
@given(_ANY, texts=texts, special=special_tokens)
def test_special_tokens_that_are_not_skipped_are_spelled_out(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str], special: list[str]
) -> None:
    plain = [one.ids for one in tokenizer.encode(texts)]
    steering = [tokenizer.facts.special[one] for one in special]
    found = tokenizer.decode([[*row, *steering, *row] for row in plain])
    told, spelled = tokenizer.decode(plain), "".join(special)
    judge.same_texts(found, [f"{text}{spelled}{text}" for text in told])


@requirement("TOK-011")
@_on(*KINDS)
@given(_ANY, texts=texts)
def test_texts_that_are_joined_as_ids_are_joined_as_text(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str]
) -> None:
    rows = [one.ids for one in tokenizer.encode(texts)]
    found = tokenizer.text([one for row in rows for one in row])
    told = "".join(declared.decoded_text(text, tokenizer.facts) for text in texts)
    judge.same_texts([found], [told])


@requirement("TOK-012")
@_on(*KINDS)
@given(_ANY, texts=texts, cuts=cuts, ids=ids)
def test_text_is_the_bytes_of_its_ids(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str], cuts: list[int], ids: list[int]
) -> None:
    rows = [_without(list(one.ids), cuts) for one in tokenizer.encode(texts)]
    rows += [ids, [*rows[0], *ids, *rows[-1]]]
    told = [declared.joined(tokenizer.token_bytes(row)) for row in rows]
    judge.same_texts(tokenizer.decode(rows), told)


@requirement("TOK-013")
@_on(*KINDS)
@given(_ANY, texts=plain_texts)
def test_offsets_go_through_the_whole_text(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str]
) -> None:
    judge.offsets_in_place(tokenizer.encode(texts), texts, tokenizer.facts)


@requirement("TOK-014")
@_on(*KINDS)
@given(_ANY, texts=plain_texts)
def test_an_offset_is_where_the_bytes_of_its_id_stand(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str]
) -> None:
    found = tokenizer.encode(texts)
    pieces = [tokenizer.token_bytes(one.ids) for one in found]
    judge.same_texts(
        [declared.joined(row) for row in pieces],
        [declared.cut_text(text, tokenizer.facts) for text in texts],
    )
    told = [declared.places(t, p, tokenizer.facts) for t, p in zip(texts, pieces, strict=True)]
    judge.same_offsets(found, told, texts)


@requirement("TOK-018")
@_on(*KINDS)
@given(_ANY, texts=texts)
def test_ids_are_those_that_the_file_says(
    tokenizer: CheckedTokenizer, kind: str, texts: list[str]
) -> None:
    found = [one.ids for one in tokenizer.encode(texts, add_special=True)]
    judge.same_ids(found, tokenizer.said(texts, add_special=True, parse_special=False), texts)


@requirement("TOK-018")
@given(texts=word_texts)
def test_ids_of_its_own_words_are_those_that_the_file_says(
    tokenizer: CheckedTokenizer, texts: list[str]
) -> None:
    rows = [list(one.ids) for one in tokenizer.encode(texts)]
    told = tokenizer.said(texts, add_special=False, parse_special=False)
    judge.same_ids(rows, told, texts)
    judge.same_texts(tokenizer.decode(rows), [tokenizer.file.text(row) for row in told])


@requirement("TOK-018")
@given(texts=spelling_texts)
def test_ids_of_spelled_tokens_are_those_that_the_file_says(
    tokenizer: CheckedTokenizer, texts: list[str]
) -> None:
    for parse in (True, False):
        found = [one.ids for one in tokenizer.encode(texts, parse_special=parse)]
        told = tokenizer.said(texts, add_special=False, parse_special=parse)
        judge.same_ids(found, told, texts)


@requirement("TOK-018")
@given(ids=ids)
def test_text_of_ids_is_what_the_file_says(tokenizer: CheckedTokenizer, ids: list[int]) -> None:
    judge.same_texts([tokenizer.text(ids)], [tokenizer.file.text(ids)])


@requirement("TOK-019")
def test_the_file_says_what_is_declared(tokenizer: CheckedTokenizer) -> None:
    judge.same_facts(tokenizer.facts, tokenizer.file.facts)


@requirement("TOK-020")
def test_the_model_has_a_row_for_every_id(tokenizer: CheckedTokenizer) -> None:
    judge.fits_model(tokenizer.facts, tokenizer.config())


def _without(row: list[int], cuts: list[int]) -> list[int]:
    """Return ids without those at some places, so that characters are broken."""
    gone = {cut % len(row) for cut in cuts} if row else set()
    return [one for place, one in enumerate(row) if place not in gone]
