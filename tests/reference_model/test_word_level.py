"""The reference tokenizers of words and of characters, beside others that read the same files."""

from __future__ import annotations

import random

import pytest

from conformance.oracles import tokenizer_file
from reference_model import word_level

PIECES = (
    *(
        "fox",
        "hello",
        "don't",
        "a",
        ".",
        "..",
        " ",
        "\xa0",
        "\r\n",
        "\t",
        "\x1c",
        "\x85",
        "unheard",
    ),
    *("\xe9", "e\u0301", "\u4e2d\u6587", "\U0001f642", "\U0001f468\u200d\U0001f469", "\u200b"),
    *(
        "\ufeff",
        "\u0663",
        "\u24b6",
        "\U0001f130",
        "_",
        "<tool>",
        "<|eos|>",
        "<|unk|>",
        "\U0010ffff",
    ),
)


def texts(count):
    numbers = random.Random(3)  # noqa: S311  # no secret
    return ["".join(numbers.choices(PIECES, k=numbers.randrange(9))) for _ in range(count)]


@pytest.mark.parametrize("kind", word_level.FILES)
def test_the_oracle_and_hugging_face_read_the_same_file_alike(kind):
    tokenizers = pytest.importorskip("tokenizers")
    path, own = word_level.FILES[kind], word_level.own(kind)
    theirs, file = tokenizers.Tokenizer.from_file(str(path)), tokenizer_file.read(path)
    for text in texts(1000):
        for parse in (True, False):
            theirs.encode_special_tokens = not parse
            found = own.encode(text, add_special=True, parse_special=parse)
            assert found == theirs.encode(text).ids, ascii(text)
            assert found == file.ids(text, add_special=True, parse_special=parse)
            assert own.decode(found, skip_special=False) == file.text(found)
            for skip in (True, False):
                told = theirs.decode(found, skip_special_tokens=skip)
                assert own.decode(found, skip_special=skip) == told


def test_what_the_vocabulary_lacks_is_one_unknown_token_and_does_not_come_back():
    for kind, text, expected in (
        ("words", "hello unheard world", "hello <|unk|> world"),
        ("characters", "a\u2603b", "a<|unk|>b"),
    ):
        own = word_level.own(kind)
        ids = own.encode(text, add_special=False, parse_special=False)
        assert own.decode(ids, skip_special=False) == expected
    assert own.decode([5000, own.ids["a"]], skip_special=False) == "a"
