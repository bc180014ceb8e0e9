"""How the suite's tokenizer came about: pairs of neighbours, the most frequent first.

``python -m reference_model.train_tokenizer FOLDER`` writes its tokenizer.json, and the config.json
of a model that has it, whose vocabulary is padded. Nothing is drawn: the same bytes everywhere.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference_model import huggingface, text, zoo
from reference_model.tokenizer import BYTE_TO_CHAR, PATTERN, merge, pretokens

if TYPE_CHECKING:
    from collections.abc import Iterable

    Pair = tuple[bytes, bytes]

TEXTS, MERGES = 400, 240
"""Texts of the seeded grammar that are learnt from, and pairs that are learnt."""
MORE = (
    "def f(x, y):\n    if x == 10:\n        return 2024\n\n\n",
    "It's what we don't, you'll, they're, I'd, I'm and I've.\r\n\r\n",
    "100 1000 1024 2000 2025 1234567 999 3.14159 19:30\n",
    "\t\t- one;\n\t\t- two...\n\n",
)
"""What the grammar lacks and pieces are cut by: indentation, line breaks, contractions, numbers."""
TIMES = 60
"""How often each of them is learnt from."""
SPECIAL = ("<|bos|>", "<|eos|>", "<|pad|>")
ADDED = ("<tool>",)
"""Spelled tokens behind the merges: those that steer a model, and one that is text."""


def learn(texts: Iterable[str], merges: int) -> list[Pair]:
    """Return pairs in the order in which they are merged; of equally frequent ones the smallest."""
    words = Counter(word for one in texts for word in pretokens(one))
    split = {word: [bytes([byte]) for byte in word.encode()] for word in words}
    learnt: list[Pair] = []
    while len(learnt) < merges:
        pairs: Counter[Pair] = Counter()
        for word, pieces in split.items():
            for pair in itertools.pairwise(pieces):
                pairs[pair] += words[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        learnt.append(best)
        split = {word: merge(pieces, best) for word, pieces in split.items()}
    return learnt


def corpus() -> Iterable[str]:
    """Yield the texts that are learnt from."""
    yield from (text.sample(0, index) for index in range(TEXTS))
    yield from MORE * TIMES


def document(merges: list[Pair]) -> dict[str, Any]:
    """Return merges as a tokenizer.json: bytes, what merges make, spelled tokens."""
    pieces = [*(bytes([byte]) for byte in range(256)), *(left + right for left, right in merges)]
    spelled = {one: len(pieces) + place for place, one in enumerate((*SPECIAL, *ADDED))}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": one,
                "content": content,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": content in SPECIAL,
            }
            for content, one in spelled.items()
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": _cutting()},
        "post_processor": _template({one: spelled[one] for one in SPECIAL[:2]}),
        "decoder": _byte_level(),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {_written(piece): one for one, piece in enumerate(pieces)},
            "merges": [[_written(left), _written(right)] for left, right in merges],
        },
    }


def _written(piece: bytes) -> str:
    return "".join(BYTE_TO_CHAR[byte] for byte in piece)


def _byte_level() -> dict[str, Any]:
    flags = {"add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return {"type": "ByteLevel", **flags}


def _cutting() -> list[dict[str, Any]]:
    split = {"pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
    return [{"type": "Split", **split}, _byte_level()]


def _template(ends: dict[str, int]) -> dict[str, Any]:
    """Return what puts one id before a text and another behind it."""
    first, last = ({"SpecialToken": {"id": one, "type_id": 0}} for one in ends)
    texts = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
    return {
        "type": "TemplateProcessing",
        "single": [first, texts[0], last],
        "pair": [first, texts[0], last, first, texts[1], last],
        "special_tokens": {
            content: {"id": content, "ids": [one], "tokens": [content]}
            for content, one in ends.items()
        },
    }


def config(ids: dict[str, int]) -> dict[str, Any]:
    """Return the config.json of a model that has this tokenizer, and rows that no id reaches."""
    told = huggingface.write_config(zoo.MODELS["llama-gqa"].config)
    names = zip(("bos_token_id", "eos_token_id", "pad_token_id"), SPECIAL, strict=True)
    return {**told, **{key: ids[content] for key, content in names}}


def main() -> None:
    """Train, and write both files."""
    parser = argparse.ArgumentParser(prog="reference_model.train_tokenizer", description=__doc__)
    parser.add_argument("folder", type=Path, help="where tokenizer.json and config.json go")
    folder = parser.parse_args().folder
    told = document(learn(corpus(), MERGES))
    ids = {one["content"]: one["id"] for one in told["added_tokens"]}
    for name, content in (("tokenizer.json", told), ("config.json", config(ids))):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
