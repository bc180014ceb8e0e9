"""The reference tokenizer: its training, its round trips, and others that read the same file."""

from __future__ import annotations

import json
import random

import pytest

from conformance.oracles import text as declared
from conformance.oracles import tokenizer_file
from conformance.oracles.unicode_pattern import compiled
from reference_model import tokenizer, train_tokenizer
from reference_model.errors import ConfigError

PIECES = (
    *("'s", "'LL", "'\u017f", " ", "  ", "\n", "\r\n", "\t", "\xa0", "\u2028", "\x1c", "\x85"),
    *(
        "a",
        "B",
        " the",
        "1",
        "1234",
        "\u0662",
        "\xbd",
        ".",
        "}",
        "\n\n",
        "\x00",
        "<tool>",
        "<|eos|>",
    ),
    *(
        "\xe9",
        "e\u0301",
        "\u4e2d",
        "\U0001f642",
        "\u200d",
        "\ufeff",
        "\u0e33",
        "\U0010ffff",
        "\u0378",
    ),
)


def texts(count):
    numbers = random.Random(7)  # noqa: S311  # no secret
    return ["".join(numbers.choices(PIECES, k=numbers.randrange(9))) for _ in range(count)]


def test_training_ends_at_the_file_that_is_shipped():
    told = train_tokenizer.document(
        train_tokenizer.learn(train_tokenizer.corpus(), train_tokenizer.MERGES)
    )
    assert json.dumps(told, indent=1) + "\n" == tokenizer.OWN.read_text(encoding="ascii")
    ids = {one["content"]: one["id"] for one in told["added_tokens"]}
    config = (tokenizer.OWN.parent / "config.json").read_text(encoding="ascii")
    assert train_tokenizer.config(ids) == json.loads(config)


def test_words_are_those_of_the_pattern():
    pattern = compiled(tokenizer.PATTERN)
    for text in texts(2000):
        assert list(tokenizer.pretokens(text)) == pattern.findall(text)


def test_every_text_comes_back_at_once_and_one_by_one():
    own = tokenizer.own()
    for text in texts(300):
        ids = [one.id for one in own.encode(text, add_special=True, parse_special=False)]
        assert own.decode(ids, skip_special=True) == text
        stream = own.stream(skip_special=True)
        assert "".join([*map(stream.add, ids), stream.finish()]) == text


def test_the_oracle_reads_the_same_ids_and_places_from_the_file():
    own, file = tokenizer.own(), tokenizer_file.read(tokenizer.OWN)
    for text in texts(1000):
        found = own.encode(text, add_special=False, parse_special=True)
        ids = file.ids(text, add_special=False, parse_special=True)
        assert [one.id for one in found] == ids
        places = declared.places(text, [file.bytes_of(one) for one in ids], file.facts)
        assert [(one.start, one.end) for one in found] == [place.widest for place in places]


def test_the_tokenizers_of_hugging_face_read_the_same_ids_and_offsets():
    tokenizers = pytest.importorskip("tokenizers")
    theirs, own = tokenizers.Tokenizer.from_file(str(tokenizer.OWN)), tokenizer.own()
    for text in texts(1000):
        for parse in (True, False):
            theirs.encode_special_tokens = not parse
            told = theirs.encode(text)
            found = own.encode(text, add_special=True, parse_special=parse)
            assert [one.id for one in found] == told.ids
            assert [(one.start, one.end) for one in found[1:-1]] == told.offsets[1:-1]


def test_broken_bytes_are_marked_and_nothing_beside_them_is_lost():
    own = tokenizer.own()
    assert (
        own.decode([97, 0xF0, 0x9F, 98, 0x80, 0xC3], skip_special=False) == "a\ufffdb\ufffd\ufffd"
    )
    assert own.decode([5000, 97], skip_special=False) == "a"


def test_a_file_of_another_kind_is_refused(tmp_path):
    told = json.loads(tokenizer.OWN.read_text(encoding="utf-8"))
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**told, "normalizer": {"type": "NFC"}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="wanted BPE on bytes"):
        tokenizer.load(path)
