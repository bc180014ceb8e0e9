"""Hugging Face tokenizers as a candidate: what is claimed of a file, and honest ones pass."""

from __future__ import annotations

import json

import pytest

from conformance import catalogue, inputs
from conformance.candidate import open_candidate
from conformance.checked import CheckedTokenizer
from conformance.errors import CandidateUnavailable, Unsupported
from reference_model.tokenizer import OWN

pytest.importorskip("tokenizers")
FILE = json.loads(OWN.read_text(encoding="utf-8"))
EXAMPLES = 3


def byte_level(**changes):
    own = {"add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"type": "ByteLevel", **own, **changes}


KINDS = {
    "gpt2": {"pre_tokenizer": byte_level(), "post_processor": byte_level()},
    "prefix-space": {
        "pre_tokenizer": byte_level(add_prefix_space=True),
        "post_processor": byte_level(add_prefix_space=True),
    },
    "prefix-space-not-trimmed": {
        "pre_tokenizer": byte_level(add_prefix_space=True),
        "post_processor": byte_level(add_prefix_space=True, trim_offsets=False),
    },
    "normalised": {"normalizer": {"type": "NFC"}},
    "whole-words": {"model": {**FILE["model"], "ignore_merges": True}},
}
"""Files of the kinds that released models have."""


@pytest.fixture
def opened(tmp_path):
    def make(**changes):
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps({**FILE, **changes}), encoding="utf-8")
        return open_candidate(f"tokenizers:{path}")

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_released_kinds_pass_every_check(opened, kind):
    with opened(**KINDS[kind]) as candidate:
        claims = candidate.info.claims
        checked = CheckedTokenizer(candidate, claims)
        assert "model_vocabulary" not in claims.capabilities, "no config.json lies beside it"
        for check in catalogue.all_checks():
            if check.requirement.startswith("TOK") and check.requirement != "TOK-020":
                for case in check.parametrisations():
                    given = {"tokenizer": checked, **case}
                    for drawn in inputs.examples(check.function, given, EXAMPLES, 1):
                        check.original(**given, **drawn)


def test_of_a_file_that_is_not_understood_little_is_claimed_and_said_why(opened):
    with opened(normalizer={"type": "Lowercase"}) as candidate:
        claims = candidate.info.claims
        assert claims.capabilities == {"tokenizer", "token_offsets", "text_streams"}
        assert (claims.tokenizer.bos, claims.tokenizer.eos) == (496, 497)
        assert claims.tokenizer.size == 500
        assert "is 'Lowercase'" in candidate.info.runtime


def test_what_cannot_be_read_is_unavailable(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text("{}", encoding="utf-8")
    opening = open_candidate(f"tokenizers:{path}")
    with pytest.raises(CandidateUnavailable, match="tokenizers cannot read"), opening:
        pass


def test_it_has_no_models():
    with open_candidate("tokenizers") as candidate:
        assert "model_vocabulary" in candidate.info.claims.capabilities
        with pytest.raises(Unsupported, match="no models"):
            candidate.load("anything")
