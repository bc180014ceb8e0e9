"""The suite's own tokenizer by the oracle of tokenizer.json, and what such a tokenizer claims."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from conformance.records import Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.oracles.tokenizer_file import ByteLevelFile
    from conformance.records import TokenizerFacts

CAPABILITIES = frozenset(
    {
        *("tokenizer", "lossless_text", "joined_text", "token_bytes", "token_offsets"),
        *("text_streams", "tokenizer_file", "model_vocabulary"),
    }
)
"""What a byte-level tokenizer can claim whose file lies beside a model's config."""


def own() -> FileTokenizer:
    """Return the tokenizer that comes with the suite."""
    from conformance.oracles import tokenizer_file  # noqa: PLC0415
    from reference_model.tokenizer import OWN  # noqa: PLC0415

    file = tokenizer_file.read(OWN)
    assert isinstance(file, tokenizer_file.ByteLevelFile)
    return FileTokenizer(file)


class FileTokenizer:
    """What a tokenizer.json says, as a candidate."""

    def __init__(self, file: ByteLevelFile) -> None:
        self._file = file
        self.facts: TokenizerFacts = file.facts

    def encode(
        self, texts: Sequence[str], *, add_special: bool, parse_special: bool
    ) -> list[Encoding]:
        """Return the ids and offsets of each text."""
        return [self._encoded(text, add_special, parse_special) for text in texts]

    def _encoded(self, text: str, *asked: bool) -> Encoding:
        from conformance.oracles import text as declared  # noqa: PLC0415

        add_special, parse_special = asked
        ids = self._file.ids(text, add_special=False, parse_special=parse_special)
        places = declared.places(text, self.token_bytes(ids), self.facts)
        spans = [(0, 0) if one is None else one.narrowest for one in places]
        if add_special:
            before = [one for one in (self.facts.bos,) if one is not None]
            behind = [one for one in (self.facts.eos,) if one is not None]
            ids = [*before, *ids, *behind]
            spans = [*((0, 0) for _ in before), *spans, *((len(text),) * 2 for _ in behind)]
        return Encoding(tuple(ids), tuple(spans))

    def decode(self, rows: Sequence[Sequence[int]], *, skip_special: bool) -> list[str]:
        """Return the text of each row of ids."""
        from conformance.oracles import text as declared  # noqa: PLC0415

        return [declared.joined([self.spoken(one, skip_special) for one in row]) for row in rows]

    def spoken(self, one: int, skip_special: bool) -> bytes:  # noqa: FBT001  # for this module
        """Return what an id adds to a text."""
        skipped = skip_special and one in self.facts.special.values()
        return b"" if skipped else self._file.bytes_of(one)

    def token_bytes(self, ids: Sequence[int]) -> list[bytes]:
        """Return the bytes of each id."""
        return [self._file.bytes_of(one) for one in ids]

    def stream(self, *, skip_special: bool) -> FileStream:
        """Return an empty stream."""
        return FileStream(self, skip_special=skip_special)


class FileStream:
    """Bytes until they are characters."""

    def __init__(self, tokenizer: FileTokenizer, *, skip_special: bool) -> None:
        self._tokenizer, self._skip = tokenizer, skip_special
        self._pending = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        """Return the characters that are whole now."""
        return self._pending.decode(self._tokenizer.spoken(token, self._skip))

    def finish(self) -> str:
        """Return U+FFFD where a character never became whole."""
        return self._pending.decode(b"", final=True)
