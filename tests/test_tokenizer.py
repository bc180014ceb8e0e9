"""Text and ids: what is asked and may come back, who judges it, the pipe, and what files say."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from conformance import judge
from conformance.candidate import open_candidate
from conformance.checked import CheckedTokenizer
from conformance.errors import CandidateRaised, FormatError, MalformedOutput, Nonconformity
from conformance.oracles import text as declared
from conformance.oracles import tokenizer_file, unicode_pattern
from conformance.records import Claims, Encoding, TokenizerFacts
from conformance.worker import isolated
from conformance.worker import tokenizer as frames
from conformance.worker.wire import Message
from reference_model.tokenizer import OWN

FACTS = TokenizerFacts(10, {"<s>": 8, "</s>": 9}, bos=8)
CLAIMS = Claims(frozenset({"tokenizer", "token_offsets"}), tokenizer=FACTS)
FILE = json.loads(OWN.read_text(encoding="utf-8"))
TEXTS = ["The red fox ", "a\x00b", "\U0001f642e\u0301 \ufeff", "<|eos|><tool>1234", ""]


class Answering:
    """A candidate that answers what it is told to, whatever is asked."""

    def __init__(self, answer):
        self.answer = answer

    def encode(self, texts, **asked):
        del texts, asked
        return self.answer

    def decode(self, rows, **asked):
        del rows, asked
        return self.answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "answered NoneType"),
        ([], "answered 0 rows; wanted a list of 1"),
        ([(1, 2)], "answered a tuple"),
        ([Encoding((1.5,), ((0, 1),))], "an Encoding holds ids"),
        ([Encoding((1, 2), ((0, 1),))], "answered 2 ids and 1 offsets"),
        ([Encoding((1,), ((0, 1, 2),))], "answered 1 ids and 0 offsets"),
        ([Encoding((1,))], "answered 1 ids and 0 offsets"),
    ],
)
def test_ids_of_another_form_are_the_candidates_fault(answer, words):
    with pytest.raises(MalformedOutput, match=words):
        CheckedTokenizer(Answering(answer), CLAIMS).encode(["a"])


@pytest.mark.parametrize(
    ("answer", "words"),
    [("a", "answered str"), ([b"a"], "a bytes; wanted text"), (["\ud800"], "lone surrogates")],
)
def test_text_of_another_form_is_the_candidates_fault(answer, words):
    with pytest.raises(MalformedOutput, match=words):
        CheckedTokenizer(Answering(answer), CLAIMS).decode([[1]])


def test_a_method_that_is_claimed_and_missing_is_told():
    with pytest.raises(CandidateRaised, match=r"claims .text_streams', but .* no method stream"):
        CheckedTokenizer(Answering(None), CLAIMS).stream()


def test_who_claims_a_tokenizer_has_to_say_what_ids_there_are():
    claims = dataclasses.replace(CLAIMS, tokenizer=None)
    with pytest.raises(MalformedOutput, match=r"wanted Claims\(..., tokenizer=TokenizerFacts"):
        _ = CheckedTokenizer(Answering(None), claims).facts


def failure(function, *arguments):
    with pytest.raises(Nonconformity) as raised:
        function(*arguments)
    return str(raised.value)


def test_what_looks_alike_is_told_apart():
    told = failure(judge.same_texts, ["a", "\xe9"], ["a", "e\u0301"])
    assert "1 texts" in told
    assert r"answered '\xe9' where 'e\u0301' is right" in told
    assert told.isascii()


def test_of_long_texts_the_surroundings_of_the_difference_are_told():
    told = failure(judge.same_texts, ["x" * 500 + "a"], ["x" * 500 + "b"])
    assert "place 500" in told
    assert len(told) < 200


def test_a_text_that_ends_early_is_another():
    assert "place 1" in failure(judge.same_texts, ["a"], ["ab"])
    assert "answered [1] where [1, 2]" in failure(judge.same_ids, [[1]], [[1, 2]], ["x"])


def test_ids_have_to_exist_and_special_ones_not_to_be_made():
    judge.ids_exist([[0, 9]], FACTS)
    assert "first 10; allowed are those below 10" in failure(judge.ids_exist, [[10]], FACTS)
    assert "first -1" in failure(judge.ids_exist, [[-1]], FACTS)
    judge.none_special([[7], []], FACTS)
    assert "first 8" in failure(judge.none_special, [[7, 8]], FACTS)


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        (((0, 1), (2, 3)), "nothing stands for 'b', from 1 to 2"),
        (((0, 2),), "nothing stands for 'c', from 2 on"),
        (((1, 2), (0, 3)), "nothing stands for 'a', from 0 to 1"),
        (((0, 2), (2, 4)), r"\(2, 4\) behind one that starts at 0, of 3 in all"),
        (((0, 3), (2, 1)), r"\(2, 1\)"),
    ],
)
def test_offsets_that_leave_the_text_or_go_back_are_told(spans, words):
    one = Encoding(tuple(range(len(spans))), spans)
    with pytest.raises(Nonconformity, match=words):
        judge.offsets_in_place([one], ["abc"], FACTS)


def test_offsets_may_overlap_in_a_character_and_leave_out_spaces_where_declared():
    judge.offsets_in_place([Encoding((1, 2), ((0, 1), (0, 1)))], ["\xe9"], FACTS)
    apart = [Encoding((1, 2), ((0, 1), (2, 3)))]
    trimmed = dataclasses.replace(FACTS, trims_offsets=True)
    judge.offsets_in_place(apart, ["a b"], trimmed)
    with pytest.raises(Nonconformity):
        judge.offsets_in_place(apart, ["a b"], FACTS)
    places = [declared.places("a b", [b"a", b" b"], facts) for facts in (trimmed, FACTS)]
    judge.same_offsets(apart, places[:1], ["a b"])
    assert "(2, 3) where (1, 3)" in failure(judge.same_offsets, apart, places[1:], ["a b"])


@pytest.mark.parametrize(
    ("unit", "prefix", "expected"),
    [
        ("codepoints", "none", [(0, 1), (1, 2), (1, 3)]),
        ("bytes", "none", [(0, 1), (1, 2), (2, 4)]),
        ("codepoints", "dropped", [None, (0, 1), (1, 2), (1, 3)]),
    ],
)
def test_a_place_is_that_of_the_bytes(unit, prefix, expected):
    facts = dataclasses.replace(FACTS, offsets=unit, prefix_space=prefix)
    pieces = [b" "] * (prefix != "none") + [b"a", b"\xc3", b"\xa9b"]
    found = declared.places("a\xe9b", pieces, facts)
    assert [place and place.widest for place in found] == expected


def test_a_space_that_was_put_before_a_text_is_kept_or_dropped_as_declared():
    kept, dropped = (dataclasses.replace(FACTS, prefix_space=one) for one in ("kept", "dropped"))
    assert declared.decoded_text("a", kept) == declared.decoded_text(" a", kept) == " a"
    assert declared.decoded_text("a", dropped) == "a"
    assert declared.cut_text("", kept) == ""


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"vocab_size": 9}, "vocab_size is 9, and there are 10 ids"),
        ({"vocab_size": 10, "eos_token_id": [9, 3]}, "eos_token_id 3 is no special token"),
        ({"vocab_size": 10, "bos_token_id": 9}, "bos_token_id is 9, and the tokenizer takes 8"),
    ],
)
def test_a_model_that_does_not_fit_is_told(config, words):
    judge.fits_model(FACTS, {"vocab_size": 16, "bos_token_id": 8, "eos_token_id": [9]})
    with pytest.raises(Nonconformity, match=words):
        judge.fits_model(FACTS, config)


@pytest.mark.parametrize("name", ["reference", "mutant:words-remembered"])
def test_another_process_answers_the_same(name):
    asked = {"add_special": True, "parse_special": True}
    with open_candidate(name) as here, isolated(name) as there:
        assert there.info.claims == here.info.claims
        found = there.encode(TEXTS, **asked)
        assert found == here.encode(TEXTS, **asked)
        rows = [list(one.ids) for one in found]
        assert there.decode(rows, skip_special=True) == here.decode(rows, skip_special=True)
        assert there.token_bytes(rows[2]) == here.token_bytes(rows[2])
        streams = [one.stream(skip_special=False) for one in (here, there)]
        told = [[*map(one.add, rows[2]), one.finish()] for one in streams]
        assert told[0] == told[1]


@pytest.mark.parametrize("document", [[], {}, {**FACTS.document(), "more": 1}], ids=str)
def test_malformed_facts_of_another_process_are_refused(document):
    with pytest.raises(MalformedOutput, match="facts are malformed"):
        frames.facts_in(document)


def test_facts_survive_their_document():
    assert frames.facts_in(FACTS.document()) == FACTS
    assert frames.facts_in(None) is None


@pytest.mark.parametrize(
    "message",
    [
        Message({"texts": 2}, {"ids.0": np.zeros(1, np.int64)}),
        Message({"texts": 1}, {"ids.0": np.zeros(1)}),
        Message({"texts": 1}, {"ids.0": np.zeros(1, np.int64), "offsets.0": np.zeros(1, np.int64)}),
    ],
)
def test_strange_frames_are_refused(message):
    with pytest.raises(MalformedOutput, match="no text"):
        frames.encodings_in(message)


def test_bytes_that_are_no_text_are_refused_where_text_is_wanted():
    with pytest.raises(MalformedOutput, match="no text"):
        frames.text_in(Message({}, {"0": np.array([0xFF], np.uint8)}))


def written(tmp_path, **changes):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**FILE, **changes}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"truncation": {"max_length": 8}}, "truncation is switched on"),
        ({"model": {"type": "Unigram", "vocab": []}}, "the model is 'Unigram'"),
        ({"model": {**FILE["model"], "dropout": 0.1}}, "/model/dropout"),
        ({"model": {**FILE["model"], "vocab": {"a": 0}}}, "255 bytes have no token"),
        ({"normalizer": {"type": "Lowercase"}}, "is 'Lowercase'"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "does not end in ByteLevel"),
        ({"pre_tokenizer": None}, "text is not made of bytes"),
        ({"decoder": None}, "is not ByteLevel"),
        ({"post_processor": {"type": "BertProcessing"}}, "'BertProcessing' is not understood"),
        ({"added_tokens": [{**FILE["added_tokens"][0], "lstrip": True}]}, "rules of its own"),
        ({"model": None}, "is no tokenizer.json that is understood"),
    ],
)
def test_a_file_that_is_not_understood_completely_is_refused(tmp_path, changes, words):
    with pytest.raises(FormatError, match=words) as raised:
        tokenizer_file.read(written(tmp_path, **changes))
    assert raised.value.file.endswith("tokenizer.json")


def test_merges_of_both_notations_are_the_same(tmp_path):
    merges = [" ".join(pair) for pair in FILE["model"]["merges"]]
    old = tokenizer_file.read(written(tmp_path, model={**FILE["model"], "merges": merges}))
    new = tokenizer_file.read(OWN)
    for text in TEXTS:
        asked = {"add_special": True, "parse_special": False}
        assert old.ids(text, **asked) == new.ids(text, **asked)


@pytest.mark.parametrize(
    "pattern", [r"\p{Han}", r"\bx", "a.b", "[a&&b]", "[a", "(a", "^a", "[a[b]]"]
)
def test_a_pattern_that_is_not_understood_completely_is_refused(pattern):
    with pytest.raises(FormatError, match="PATTERN-UNKNOWN"):
        unicode_pattern.check(pattern)


def test_classes_are_those_of_unicode_and_not_pythons():
    assert unicode_pattern.compiled(r"\s+").findall("a\x1c\x85\u3000b") == ["\x85\u3000"]
    assert unicode_pattern.compiled(r"[^\S\n]+").findall("a \n\t") == [" ", "\t"]
    assert unicode_pattern.compiled(r"\p{Lu}|\P{L}").findall("aB1") == ["B", "1"]
