"""Faults of text on its way to ids: what is lost, added or taken for something that it is not."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._calls import ids

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("encode", kills=ids("TOK", 2), bug="generic")
def trailing_space_dropped(honest: Honest, texts: Any, **asked: bool) -> Any:
    """Spaces at the end of a text are dropped."""
    return honest([text.rstrip(" ") for text in texts], **asked)


@mutant("encode", kills=ids("TOK", 2), bug="huggingface/transformers#47487")
def leading_space_dropped(honest: Honest, texts: Any, **asked: bool) -> Any:
    """One space at the beginning of a text is dropped."""
    return honest([text.removeprefix(" ") for text in texts], **asked)


@mutant("encode", kills=ids("TOK", 2, 11), bug="abetlen/llama-cpp-python#1531")
def undeclared_prefix_space(honest: Honest, texts: Any, **asked: bool) -> Any:
    """A space is put before a text and stays, and nothing of it is declared."""
    return honest([f" {text}" if text else text for text in texts], **asked)


@mutant("encode", kills=ids("TOK", 2), bug="generic")
def spaces_collapsed(honest: Honest, texts: Any, **asked: bool) -> Any:
    """Several spaces are read as one."""
    return honest([re.sub("  +", " ", text) for text in texts], **asked)


@mutant("encode", kills=ids("TOK", 2, 18), bug="generic")
def text_normalised_unsaid(honest: Honest, texts: Any, **asked: bool) -> Any:
    """Text is composed (NFC), and nothing of it is declared."""
    return honest([unicodedata.normalize("NFC", text) for text in texts], **asked)


@mutant("encode", kills=ids("TOK", 2), bug="generic")
def text_in_lower_case(honest: Honest, texts: Any, **asked: bool) -> Any:
    """Text is made lower case."""
    return honest([text.lower() for text in texts], **asked)


@mutant("encode", kills=ids("TOK", 2), bug="generic")
def byte_order_mark_stripped(honest: Honest, texts: Any, **asked: bool) -> Any:
    """U+FEFF at the beginning of a text is taken for a byte order mark."""
    return honest([text.removeprefix("\ufeff") for text in texts], **asked)


@mutant("encode", kills=ids("TOK", 2), bug="leehack/llamadart#608")
def text_ends_at_nul(honest: Honest, texts: Any, **asked: bool) -> Any:
    """A text ends at its first NUL, as a string of C does."""
    return honest([text.partition("\0")[0] for text in texts], **asked)


@mutant("encode", kills=ids("TOK", 2), bug="generic")
def line_ends_unified(honest: Honest, texts: Any, **asked: bool) -> Any:
    """A carriage return before a line feed is dropped."""
    return honest([text.replace("\r\n", "\n") for text in texts], **asked)


@mutant("encode", kills=ids("TOK", 2), bug="generic")
def unseen_characters_dropped(honest: Honest, texts: Any, **asked: bool) -> Any:
    """Characters that only format others, such as joiners and marks of direction, are dropped."""
    return honest(
        ["".join(c for c in t if unicodedata.category(c) != "Cf") for t in texts], **asked
    )


@mutant("encode", kills=ids("TOK", 2), bug="generic")
def text_of_the_basic_plane(honest: Honest, texts: Any, **asked: bool) -> Any:
    """Characters beyond U+FFFF become U+FFFD."""
    beyond = re.compile("[\U00010000-\U0010ffff]")
    return honest([beyond.sub("\ufffd", text) for text in texts], **asked)


@mutant("encode", kills=ids("TOK", 2), bug="generic")
def truncation_left_on(honest: Honest, texts: Any, **asked: bool) -> Any:
    """A text keeps its first 512 ids, as the tokenizer was saved in training."""
    found = honest(texts, **asked)
    return [dataclasses.replace(e, ids=e.ids[:512], offsets=e.offsets[:512]) for e in found]


@mutant("encode", kills=ids("TOK", 4), bug="generic")
def batch_padded_to_the_longest(honest: Honest, texts: Any, **asked: bool) -> Any:
    """The texts of a batch are padded to the longest of them."""
    found = honest(texts, **asked)
    longest = max((len(one.ids) for one in found), default=0)
    return [_padded(one, longest - len(one.ids)) for one in found]


def _padded(one: Any, missing: int) -> Any:
    end = one.offsets[-1][1] if one.offsets else 0
    offsets = (*one.offsets, *((end, end),) * missing)
    return dataclasses.replace(one, ids=one.ids + (498,) * missing, offsets=offsets)


@mutant("encode", kills=ids("TOK", 3), bug="generic")
def ids_of_the_text_before(honest: Honest, texts: Any, **asked: bool) -> Any:
    """Behind a batch that ended in a longer text, the last text ends as that one did."""
    found = honest(texts, **asked)
    before, _BEFORE[:] = list(_BEFORE), found[-1].ids
    last = found[-1].ids
    if found and last and len(before) > len(last):
        found[-1] = dataclasses.replace(found[-1], ids=(*last[:-1], before[-1]))
    return found


_BEFORE: list[int] = []
"""The ids of the last text that the faulty candidate was given."""


@mutant("encode", kills=ids("TOK", 1), bug="huggingface/tokenizers#1609")
def id_behind_the_last(honest: Honest, texts: Any, **asked: bool) -> Any:
    """What no merge has made longer than a byte is an unknown token, whose id is the size."""
    found = honest(texts, **asked)
    known = [tuple(500 if 0x80 <= i < 256 else i for i in one.ids) for one in found]
    return [dataclasses.replace(e, ids=i) for e, i in zip(found, known, strict=True)]


@mutant("encode", kills=ids("TOK", 6, 18), bug="google-deepmind/gemma#768")
def special_tokens_made_by_text(honest: Honest, texts: Any, **asked: bool) -> Any:
    """Text that spells a special token becomes it, whatever was asked."""
    return honest(texts, **{**asked, "parse_special": True})


@mutant("encode", kills=ids("TOK", 7), bug="generic")
def special_tokens_never_parsed(honest: Honest, texts: Any, **asked: bool) -> Any:
    """No spelling becomes a special token, whatever was asked."""
    return honest(texts, **{**asked, "parse_special": False})


@mutant("tokenizer.sections", kills=ids("TOK", 7), bug="generic")
def special_tokens_in_any_case(honest: Honest, text: str, spelled: Any) -> Any:
    """Spellings are looked for without regard to upper and lower case."""
    any_case = re.compile("|".join(map(re.escape, spelled)), re.IGNORECASE)
    return honest(any_case.sub(lambda found: found[0].lower(), text), spelled)


@mutant("tokenizer.sections", kills=ids("TOK", 18), bug="generic")
def added_tokens_read_as_text(honest: Honest, text: str, spelled: Any) -> Any:
    """Added tokens that are not special are not looked for."""
    return honest(text, {one: i for one, i in spelled.items() if one.startswith("<|")})


@mutant("encode", kills=ids("TOK", 8), bug="vllm-project/vllm#16976")
def bos_twice(honest: Honest, texts: Any, **asked: bool) -> Any:
    """The token that begins a text is put before it by two who do not know of each other."""
    found = honest(texts, **asked)
    return [_with_first(one) for one in found] if asked["add_special"] else found


def _with_first(one: Any) -> Any:
    return dataclasses.replace(one, ids=(496, *one.ids), offsets=((0, 0), *one.offsets))


@mutant("encode", kills=ids("TOK", 8), bug="unslothai/unsloth#10312")
def bos_missing(honest: Honest, texts: Any, **asked: bool) -> Any:
    """The token that begins a text is not put before it."""
    found = honest(texts, **asked)
    skipped = int(asked["add_special"])
    return [
        dataclasses.replace(one, ids=one.ids[skipped:], offsets=one.offsets[skipped:])
        for one in found
    ]


@mutant("encode", kills=ids("TOK", 8), bug="generic")
def ends_without_being_asked(honest: Honest, texts: Any, **asked: bool) -> Any:
    """The special tokens of a text's ends are put there, whatever was asked."""
    return honest(texts, **{**asked, "add_special": True})


@mutant("encode", kills=ids("TOK", 5), bug="generic")
def empty_text_without_ends(honest: Honest, texts: Any, **asked: bool) -> Any:
    """An empty text has no ids, whatever was asked."""
    found = honest(texts, **asked)
    none = [dataclasses.replace(one, ids=(), offsets=()) for one in found]
    return [one if text else no for text, one, no in zip(texts, found, none, strict=True)]


_GPT2 = re.compile(
    r"'(?:[sdmt]|ll|ve|re)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+", re.UNICODE
)


@mutant("tokenizer.pretokens", kills=ids("TOK", 18), bug="ggml-org/llama.cpp#6920")
def words_of_another_family(_: Honest, text: str) -> Any:
    """Words are cut by GPT-2's pattern, which most texts of one script do not show."""
    return iter(_GPT2.findall(text))


@mutant("tokenizer.pretokens", kills=ids("TOK", 18), bug="generic")
def digits_in_groups_from_the_end(honest: Honest, text: str) -> Any:
    """Numbers are cut into groups of three digits from their end."""
    for part in re.split(r"(\d{4,})", text):
        if part.isdecimal() and len(part) > 3:
            lead = len(part) % 3
            yield from filter(None, [part[:lead]])
            yield from (part[at : at + 3] for at in range(lead, len(part), 3))
        else:
            yield from honest(part)


@mutant("tokenizer.merged", kills=ids("TOK", 18), bug="generic")
def longest_pieces_first(_: Honest, word: bytes, ranks: Any) -> Any:
    """A word's pieces are the longest that there are from its beginning on, and no merges."""
    made = {left + right for left, right in ranks}
    found = []
    while word:
        ends = (end for end in range(len(word), 0, -1) if end == 1 or word[:end] in made)
        end = next(ends)
        found.append(word[:end])
        word = word[end:]
    return found


@mutant("tokenizer.merged", kills=ids("TOK", 18), bug="generic")
def merges_from_the_left(_: Honest, word: bytes, ranks: Any) -> Any:
    """Of pairs that can be merged the leftmost comes first, whichever was learnt first."""
    pieces = [bytes([byte]) for byte in word]
    at = 0
    while at + 1 < len(pieces):
        if (pieces[at], pieces[at + 1]) in ranks:
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
            at = max(0, at - 1)
        else:
            at += 1
    return pieces


@mutant(
    "tokenizer.merged",
    bug="generic",
    equivalent="A word's pieces depend on the word and the merges alone, which do not change.",
)
def words_remembered(honest: Honest, word: bytes, ranks: Any) -> Any:
    """The pieces of a word are remembered for the next time."""
    if word not in _WORDS:
        _WORDS[word] = honest(word, ranks)
    return list(_WORDS[word])


_WORDS: dict[bytes, list[bytes]] = {}
"""The pieces of the words that were cut before."""
