"""Text by the reference model's tokenizers of words and of characters, for faults in these."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conformance.adapters import _tokenizer
from conformance.adapters._replacing import WORD_LEVEL
from conformance.records import Encoding, TokenizerFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.mutants import Mutant
    from conformance.records import Claims


def text_of(mutant: Mutant) -> Any:
    """Return the tokenizer that a fault is in: that of bytes, unless it is a fault of words."""
    module, _, name = mutant.replaces.partition(".")
    if module != WORD_LEVEL:
        return _tokenizer
    return Words("characters" if name == "characters" else "words")


def claimed(claims: Claims, text: Any) -> Claims:
    """Return the claims of a candidate that has this tokenizer in place of that of bytes."""
    capabilities = claims.capabilities - _tokenizer.CAPABILITIES | text.CAPABILITIES
    return replace(claims, capabilities=capabilities, tokenizer=text.facts())


class Words:
    """One of the two tokenizers; it claims nothing but ids, and text of ids."""

    CAPABILITIES = frozenset({"tokenizer", "tokenizer_file"})

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def _own(self) -> Any:
        from reference_model import word_level  # noqa: PLC0415

        return word_level.own(self._kind)

    def facts(self) -> TokenizerFacts:
        """Return what is declared of it; an unknown word steers no model."""
        from reference_model import word_level  # noqa: PLC0415

        own = self._own()
        return TokenizerFacts(
            size=max([*own.ids.values(), *own.added.values(), *own.special.values()]) + 1,
            special={text: one for text, one in own.special.items() if one != own.unknown},
            bos=own.bos,
            eos=own.eos,
            file=str(word_level.FILES[self._kind]),
        )

    def encode(
        self, texts: Sequence[str], *, add_special: bool, parse_special: bool
    ) -> list[Encoding]:
        """Return the ids of each text."""
        asked = {"add_special": add_special, "parse_special": parse_special}
        return [Encoding(tuple(self._own().encode(text, **asked))) for text in texts]

    def decode(self, rows: Sequence[Sequence[int]], *, skip_special: bool) -> list[str]:
        """Return the text of each row of ids."""
        return [self._own().decode(row, skip_special=skip_special) for row in rows]
