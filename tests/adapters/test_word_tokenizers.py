"""Files of words and of characters: what is claimed of them, and Hugging Face's reader passes."""

from __future__ import annotations

import json
import random
import unicodedata

import pytest

from conformance import catalogue, inputs, spec
from conformance.adapters.tokenizers import open as open_tokenizers
from conformance.checked import CheckedTokenizer
from conformance.errors import FormatError, Nonconformity
from conformance.oracles import tokenizer_file

tokenizers = pytest.importorskip("tokenizers")
EXAMPLES = 3
WORDS = (
    "a",
    "b",
    "The",
    "fox",
    "don",
    "'",
    "t",
    ".",
    "..",
    "\u732b",
    "e\u0301",
    "a\u200db",
    "\u24b6",
)
CHARACTERS = (
    "a",
    "b",
    " ",
    "\n",
    "\r",
    "\xa0",
    "e",
    "\u0301",
    "\xe9",
    "\u732b",
    "\U0001f642",
    "\u200d",
)
PIECES = (
    *WORDS,
    *CHARACTERS,
    "\r\n",
    "\t",
    "\x1c",
    "\x85",
    "\ufeff",
    "\u200b",
    "_",
    "\u0663",
    "<s>",
    "[UNK]",
)
UNKNOWN, BOS, EOS = "[UNK]", "<s>", "</s>"


def at_each(pattern):
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }


def file(pre_tokenizer, words, decoder=None, *, steering=True, **changes):
    """Return a tokenizer.json; unknown words steer, as trainers have it, or do not."""
    vocabulary = {word: one for one, word in enumerate((UNKNOWN, *dict.fromkeys(words)))}
    ends = [(BOS, len(vocabulary)), (EOS, len(vocabulary) + 1)]
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    special = [*([(UNKNOWN, 0)] if steering else []), *ends]
    sides = [{"SpecialToken": {"id": one, "type_id": 0}} for one in (BOS, EOS)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": c, "special": True, **flags} for c, i in special],
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [sides[0], {"Sequence": {"id": "A", "type_id": 0}}, sides[1]],
            "pair": [],
            "special_tokens": {c: {"id": c, "ids": [i], "tokens": [c]} for c, i in ends},
        },
        "decoder": decoder,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": UNKNOWN},
        **changes,
    }


FUSE = {"type": "Fuse"}
KINDS = {
    "whitespace": file({"type": "Whitespace"}, WORDS),
    "whitespace-split": file({"type": "WhitespaceSplit"}, (*WORDS, "don't", "a."), steering=False),
    "characters": file(at_each(""), CHARACTERS, FUSE),
    "any-character": file(at_each(r"[\s\S]"), CHARACTERS, FUSE, steering=False),
    "characters-apart": file(at_each(""), CHARACTERS),
    "normalised": file(at_each(""), CHARACTERS, FUSE, normalizer={"type": "NFC"}),
}
ALWAYS = {"tokenizer", "tokenizer_file", "text_streams"}
PROMISED = {
    **{kind: {"joined_text", "token_offsets"} for kind in KINDS},
    "whitespace": set(),
    "whitespace-split": set(),
    "characters-apart": {"token_offsets"},
}


@pytest.fixture
def written(tmp_path):
    def write(document):
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_words_and_characters_pass_every_check_of_what_they_claim(written, kind):
    with open_tokenizers(str(written(KINDS[kind])), {}) as candidate:
        claims = candidate.info.claims
        assert claims.capabilities == ALWAYS | PROMISED[kind]
        assert UNKNOWN not in claims.tokenizer.special
        checked = CheckedTokenizer(candidate, claims)
        needs = {one.id: one.needs for one in _requirements()}
        for check in catalogue.all_checks():
            if not {*needs.get(check.requirement, ("none",))} <= claims.capabilities:
                continue
            for case in check.parametrisations():
                given = {"tokenizer": checked, **case}
                for drawn in inputs.examples(check.function, given, EXAMPLES, 1):
                    check.original(**given, **drawn)


def _requirements():
    return [one for one in spec.load().requirements.values() if "tokenizer" in one.needs]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_text_are_those_of_hugging_face(written, kind):
    path = written(KINDS[kind])
    theirs, mine = tokenizers.Tokenizer.from_file(str(path)), tokenizer_file.read(path)
    numbers = random.Random(5)  # noqa: S311  # no secret
    known = 0
    for _ in range(400):
        text = "".join(numbers.choices(PIECES, k=numbers.randrange(9)))
        for parse in (False, True):
            theirs.encode_special_tokens = not parse
            found = theirs.encode(text, add_special_tokens=parse).ids
            assert mine.ids(text, add_special=parse, parse_special=parse) == found, ascii(text)
            assert mine.text(found) == theirs.decode(found, skip_special_tokens=False)
            known += sum(one != 0 for one in found)
    assert known > 1000


def test_every_character_is_part_of_a_word_where_it_is_for_hugging_face(written):
    r"""``\w`` as Rust's regex has it, over all of Unicode that this Python knows."""
    path = written(KINDS["whitespace"])
    theirs, mine = tokenizers.Tokenizer.from_file(str(path)), tokenizer_file.read(path)
    cut = theirs.pre_tokenizer.pre_tokenize_str
    for code in range(0x110000):
        if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Co"):
            text = f"a{chr(code)}"
            found = [word for word, _ in cut(text)]
            assert [*mine.steps[0](text)] == found, hex(code)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unk_token": "?"}, "'\\?' is not in the vocabulary: not every text has ids"),
        ({"vocab": {UNKNOWN: 0, "a": 7, "b": 7}}, "the id 7 is that of 'a' and of 'b'"),
        ({"vocab": {UNKNOWN: 0, "a": 2, BOS: 1}}, "'<s>' is 14 here, and 1 in the vocabulary"),
    ],
)
def test_a_vocabulary_that_contradicts_itself_is_refused(written, changes, words):
    document = KINDS["whitespace"]
    path = written({**document, "model": {**document["model"], **changes}})
    with pytest.raises(FormatError, match=words) as raised:
        tokenizer_file.read(path)
    assert raised.value.file.endswith("tokenizer.json")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pre_tokenizer": None}, "a text would be one word"),
        ({"pre_tokenizer": {"type": "Punctuation"}}, "'Punctuation' is understood only as"),
        ({"pre_tokenizer": at_each(".")}, "at each character"),
        ({"pre_tokenizer": {**at_each(""), "behavior": "Removed"}}, "Isolated, at each character"),
        ({"decoder": {"type": "WordPiece"}}, "is 'WordPiece'; understood are none and Fuse"),
        ({"normalizer": {"type": "Lowercase"}}, "is 'Lowercase'"),
        ({"post_processor": {"type": "ByteLevel", "trim_offsets": True}}, "trims the offsets"),
    ],
)
def test_a_file_of_words_that_is_not_understood_completely_is_refused(written, changes, words):
    with pytest.raises(FormatError, match=words):
        tokenizer_file.read(written({**KINDS["whitespace"], **changes}))


def test_a_special_token_that_is_a_word_is_made_by_text_and_fails(written):
    """Trainers put special tokens in the vocabulary, and WhitespaceSplit lets text find them."""
    document = file({"type": "WhitespaceSplit"}, WORDS)
    document["model"]["vocab"] |= {one["content"]: one["id"] for one in document["added_tokens"]}
    with open_tokenizers(str(written(document)), {}) as candidate:
        checked = CheckedTokenizer(candidate, candidate.info.claims)
        (check,) = (one for one in catalogue.all_checks() if one.requirement == "TOK-006")
        with pytest.raises(Nonconformity, match="special tokens made by text"):
            check.original(tokenizer=checked, texts=[f"a {BOS}"])
