"""Faults of what is told beside the ids: where each stands in the text, and which ids there are."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._calls import ids

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("encode", kills=ids("TOK", 14), bug="huggingface/tokenizers#156")
def offsets_in_bytes(honest: Honest, texts: Any, **asked: bool) -> Any:
    """Offsets count bytes, where code points are declared."""
    found = zip(texts, honest(texts, **asked), strict=True)
    return [_counted(one, text, "utf-8", 1) for text, one in found]


@mutant("encode", kills=ids("TOK", 13, 14), bug="generic")
def offsets_in_utf16(honest: Honest, texts: Any, **asked: bool) -> Any:
    """Offsets count units of UTF-16, where code points are declared."""
    found = zip(texts, honest(texts, **asked), strict=True)
    return [_counted(one, text, "utf-16-le", 2) for text, one in found]


def _counted(one: Any, text: str, code: str, width: int) -> Any:
    """Return offsets in units of another encoding of the text."""
    return _spans(one, lambda at: len(text[:at].encode(code)) // width)


@mutant("encode", kills=ids("TOK", 13, 14), bug="huggingface/transformers#16321")
def offsets_behind_a_prefix_space(honest: Honest, texts: Any, **asked: bool) -> Any:
    """Offsets are those of a text that has one more space before it."""
    return [_spans(one, lambda at: at + 1) for one in honest(texts, **asked)]


def _spans(one: Any, place: Callable[[int], int]) -> Any:
    spans = tuple((place(start), place(end)) for start, end in one.offsets)
    return dataclasses.replace(one, offsets=spans)


@mutant("encode", kills=ids("TOK", 13, 14), bug="generic")
def offsets_trimmed_unsaid(honest: Honest, texts: Any, **asked: bool) -> Any:
    """Offsets leave out the space that a token begins with, and nothing of it is declared."""
    found = []
    for text, one in zip(texts, honest(texts, **asked), strict=True):
        spans = ((s + (s < e and text[s] == " "), e) for s, e in one.offsets)
        found.append(dataclasses.replace(one, offsets=tuple(spans)))
    return found


@mutant("tokenizer.spans", kills=ids("TOK", 14), bug="generic")
def character_of_its_last_id_alone(honest: Honest, found: Any, pieces: Any) -> Any:
    """An id that ends inside a character stands for nothing of it: the last one has it whole."""
    tokens = honest(found, pieces)
    ends = [b"".join(pieces[: place + 1]) for place in range(len(pieces))]
    return [
        dataclasses.replace(one, end=max(one.start, one.end - _is_broken(end)))
        for one, end in zip(tokens, ends, strict=True)
    ]


def _is_broken(end: bytes) -> bool:
    return end.decode(errors="ignore").encode() != end


@mutant("facts", kills=ids("TOK", 1, 19), bug="generic")
def size_without_added_tokens(facts: Any) -> Any:
    """The declared size leaves out a token that was added behind the others."""
    return dataclasses.replace(facts, size=facts.size - 1)


@mutant("facts", kills=ids("TOK", 19, 20), bug="huggingface/transformers#12763")
def more_ids_than_the_model_has(facts: Any) -> Any:
    """There are more ids than the model has rows."""
    return dataclasses.replace(facts, size=facts.size + 13)


@mutant("facts", kills=ids("TOK", 19, 20), bug="vllm-project/vllm#4589")
def another_end_than_the_model(facts: Any) -> Any:
    """The tokenizer ends a text with another token than the model's config names."""
    return dataclasses.replace(facts, eos=facts.special["<|pad|>"])


@mutant("facts", kills=ids("TOK", 19, 20), bug="generic")
def special_token_undeclared(facts: Any) -> Any:
    """One of the special tokens is declared to be text like any other."""
    special = {text: one for text, one in facts.special.items() if text != "<|pad|>"}
    return dataclasses.replace(facts, special=special)
