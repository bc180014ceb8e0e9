"""Text by the reference model's own tokenizer, for the candidates that have a fault in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._file_tokenizer import CAPABILITIES
from conformance.records import Encoding, TokenizerFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CAPABILITIES", "decode", "encode", "facts", "stream", "token_bytes"]


def _own() -> Any:
    from reference_model import tokenizer  # noqa: PLC0415

    return tokenizer.own()


def facts() -> TokenizerFacts:
    """Return what is declared of it."""
    from reference_model import tokenizer  # noqa: PLC0415

    own = tokenizer.own()
    return TokenizerFacts(
        size=max(own.tokens) + 1,
        special=own.special,
        bos=own.bos,
        eos=own.eos,
        file=str(tokenizer.OWN),
    )


def encode(texts: Sequence[str], *, add_special: bool, parse_special: bool) -> list[Encoding]:
    """Return the ids and offsets of each text."""
    asked = {"add_special": add_special, "parse_special": parse_special}
    return [_encoding(_own().encode(text, **asked)) for text in texts]


def _encoding(tokens: Any) -> Encoding:
    ids, spans = [one.id for one in tokens], [(one.start, one.end) for one in tokens]
    return Encoding(tuple(ids), tuple(spans))


def decode(rows: Sequence[Sequence[int]], *, skip_special: bool) -> list[str]:
    """Return the text of each row of ids."""
    return [_own().decode(row, skip_special=skip_special) for row in rows]


def token_bytes(ids: Sequence[int]) -> list[bytes]:
    """Return the bytes of each id."""
    return [_own().bytes_of(one, skip_special=False) for one in ids]


def stream(*, skip_special: bool) -> Any:
    """Return an empty stream."""
    return _own().stream(skip_special=skip_special)
