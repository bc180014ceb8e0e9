"""Text that tokenizers get wrong, and ids.

A family holds what one kind of mistake shows on; a text is a few of its pieces, or one alone, so
that each stands at a beginning, at an end and beside others. Everything is written in ASCII: what
looks alike, cannot be seen or turns lines around is told by its code points.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from conformance.oracles import text as declared

if TYPE_CHECKING:
    from conformance.checked import CheckedTokenizer

    Strategy = st.SearchStrategy[Any]

_WORDS = ("The quick fox", " sees", "I'll DON'T he's", "x == y;", "\u03b3\u03ac\u03c4\u03b1")
FAMILIES: dict[str, tuple[str, ...]] = {
    "spaces": (
        *(" ", "  ", "     ", "a", "a ", " a", "a  b", "\t", " \t", "\t\tif x:", "   a   "),
        *("\xa0", "a\xa0b", "\u1680", "\u2003a", "\u2009", "\u202f5", "\u205f", "\u3000a"),
    ),
    "lines": (
        *("\n", "\r\n", "\r", "a\nb", "a\r\nb\r\n", "\n\n\n", " \n", "\n a", "a \n\n b", "a\r"),
        *("\v", "\f", "\x85", "\u2028", "a\u2029", ".\n", "}\n\n"),
    ),
    "marks": (
        *("\xe9", "e\u0301", "\xc5", "A\u030a", "\u212b", "\u0301", "\u0301a", "\u1e69"),
        *("s\u0323\u0307", "s\u0307\u0323", "\u1e9b\u0323", "\ufb01", "\u2460", "\xbd", "\uff21"),
        *("\u01c5", "\xdf", "\u0130", "\u0131", "\u017f", "'\u017f", "\u1fb3", "\u0345", "H\u0336"),
    ),
    "scripts": (
        *(
            "\ud55c\uae00",
            "\u1112\u1161\u11ab",
            "\u1100\u1161",
            "\u0e19\u0e49\u0e33",
            "\u0e01\u0e47",
        ),
        *(
            "\u0915\u094d\u0937\u093f",
            "\u05e9\u05b8\u05c1",
            "\u0645\u064e",
            "\u4e2d\u6587",
            "\u304c",
        ),
        *(
            "\u304b\u3099",
            "\U00020bb7",
            "\U00010348",
            "\u10d0",
            "\u0438\u0306",
            "\u0413\u0434\u0435",
        ),
    ),
    "emoji": (
        *("\U0001f642", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea"),
        *(
            "\U0001f44d\U0001f3fd",
            "\u2764\ufe0f",
            "1\ufe0f\u20e3",
            "\U0001f3f3\ufe0f\u200d\U0001f308",
        ),
        *("\U0001f3f4\U000e0067\U000e0062\U000e007f", "\U0001f1e9", "\U0001f642\U0001f642", "a"),
    ),
    "unseen": (
        *("\ufeff", "\ufeffa", "a\ufeff", "\u200b", "\u200d", "\u200e", "\u200f", "\u061c", "\xad"),
        *("\u202eabc\u202c", "\u2066a\u2069", "\u2060", "\u180e", "\u034f", "\ufe0f", "\u115f"),
    ),
    "controls": (
        *("\x00", "a\x00b", "\x00\x00", "\x01", "\x08", "\x1b[0m", "\x1c", "\x1d", "\x1f", "\x7f"),
        *("\x80", "\x9f", "a\x1cb", "\x1a"),
    ),
    "borders": (
        *("\x7f", "\x80", "\xff", "\u0100", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uf8ff"),
        *("\ufdd0", "\ufffd", "a\ufffdb", "\ufffe", "\uffff", "\U00010000", "\U0001ffff", "\u0378"),
        *("\U000e0001", "\U000f0000", "\U0010fffd", "\U0010ffff"),
    ),
    "digits": (
        *(
            "0",
            "12",
            "123",
            "1234",
            "1234567",
            "3.14159",
            "1,000,000",
            "007",
            "x2y3",
            " 42",
            "1 2 3",
        ),
        *(
            "\u0663\u0664\u0665\u0666",
            "\xb2\xb3",
            "\u0967\u0968\u0969\u096a",
            "\uff11",
            "\u2162",
            "10e-5",
        ),
    ),
    "spellings": (
        *("\\ud83d\\ude42", "\\u00e9", "\\x00", "\\n", "%20", "&amp;", "&#65;", "</s>", "<s>"),
        *(
            "\u2581",
            "\u2581a",
            "\u0120",
            "\u0120a",
            "\u010a",
            "<0x0A>",
            "##ing",
            "[UNK]",
            "@@",
            "</w>",
        ),
        *("<unk>", "<|endoftext|>", "[MASK]"),
    ),
    "tidied": (
        *(" .", "a .", " ?", " !", " ,", "do n't", " n't", "I 'm", " 's", " 've", " 're", "' '"),
        *(
            "hello , world !",
            "a ' b",
            "ABC",
            "Mixed Case",
            "``x''",
            "\u2018x\u2019",
            "...",
            "\u2026",
        ),
    ),
    "words": (*_WORDS, "hello", "world", " hello", " world", "don't", "we'll", "\u732b", "\u0644"),
}
"""What texts are made of, by what goes wrong with them."""
KINDS = (*FAMILIES, "long", "anything")
"""The families, a few long texts, and any characters at all."""
_RUNS = ("a", " ", "\n", "ab", "=", "9", "e\u0301", "\U0001f642", "\t", "\u4e2d", "the ", "\x00")
_LENGTHS = (40, 300, 1500)
_FRAGMENTS = ("<", "|", ">", "<|", "|>", " ", "\n", "a", "eos", "EOS", "b c", "\U0001f642", "")
_BESIDE = (
    *(" ", "  ", "\r\n", "\t", "\xa0", "\u3000", "\u200b", "\u200d", "\ufeff", "\x1c", "\u0301"),
    *(".", ",", "'", "_", "-", "\u20ac", "\U0001f642", "\u4e2d", "\u0663", "\u24b6", "unheard"),
)
"""What stands beside words: some of it parts them, some makes another word of them."""
_ROWS, _PIECES, _IDS = 10, 4, 14


def texts(tokenizer: CheckedTokenizer, kind: str) -> Strategy:
    """A batch of texts of one kind."""
    return st.lists(_of_kind(kind).map(lambda t: _told(t, tokenizer)), min_size=1, max_size=_ROWS)


def plain_texts(tokenizer: CheckedTokenizer, kind: str) -> Strategy:
    """A batch of texts that no normalisation changes, and that have no U+FFFD of their own."""

    def plain(text: str) -> str:
        return declared.normalised(text.replace("\ufffd", ""), tokenizer.facts)

    return texts(tokenizer, kind).map(lambda batch: [plain(text) for text in batch])


def spelling_texts(tokenizer: CheckedTokenizer) -> Strategy:
    """A batch of texts that spell special tokens, or nearly."""
    special = tokenizer.spellings or ("<|eos|>",)
    near = tuple(form for one in special for form in (one[:-1], one[1:], one.upper(), f"{one} "))
    pieces = st.sampled_from(special) | st.sampled_from(near) | st.sampled_from(_FRAGMENTS)
    some = st.lists(pieces, min_size=1, max_size=2 * _PIECES).map("".join)
    return st.lists(some | st.sampled_from(special), min_size=1, max_size=_ROWS)


def word_texts(tokenizer: CheckedTokenizer) -> Strategy:
    """A batch of texts of the vocabulary's own words, and of what does or does not part them."""
    words = st.sampled_from(tokenizer.words or FAMILIES["words"])
    some = st.lists(words | st.sampled_from(_BESIDE), min_size=1, max_size=3 * _PIECES)
    texts = some.map("".join).map(lambda text: _told(text, tokenizer))
    return st.lists(texts, min_size=1, max_size=_ROWS)


def special_tokens(tokenizer: CheckedTokenizer) -> Strategy:
    """Spellings of special tokens, none where there are none."""
    special = tuple(tokenizer.facts.special)
    return st.lists(st.sampled_from(special), min_size=1, max_size=3) if special else st.just([])


def ids(tokenizer: CheckedTokenizer) -> Strategy:
    """Any ids in any order: bytes that are no text, mostly."""
    size = tokenizer.facts.size
    low = st.integers(0, min(size, 512) - 1)
    return st.lists(low | st.integers(0, size - 1), min_size=1, max_size=_IDS)


def cuts() -> Strategy:
    """Which ids are left out of those of a text, as places to be taken by their remainder."""
    return st.lists(st.integers(0, 99), max_size=3)


def _of_kind(kind: str) -> Strategy:
    if kind == "anything":
        return st.text(st.characters(codec="utf-8"), max_size=12)
    if kind == "long":
        runs = st.tuples(st.sampled_from(_RUNS), st.sampled_from(_LENGTHS))
        run = runs.map(lambda drawn: drawn[0] * (drawn[1] // len(drawn[0])))
        return st.tuples(st.sampled_from(_WORDS), run, st.sampled_from(_WORDS)).map("".join) | run
    pieces = st.sampled_from(FAMILIES[kind])
    return pieces | st.lists(pieces, min_size=1, max_size=_PIECES).map("".join)


def _told(text: str, tokenizer: CheckedTokenizer) -> str:
    """Leave out what versions of Unicode may take differently: what is not assigned yet.

    That matters where text is normalised, and where whole words are looked for.
    """
    if tokenizer.facts.normalisation == "none" and not tokenizer.words:
        return text
    return "".join(one for one in text if unicodedata.category(one) != "Cn")
