"""What is asked of a tokenizer, what it answers, and what a vendor declares of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NORMALISATIONS = ("none", "NFC", "NFD", "NFKC", "NFKD")
"""What is done to text before it is cut, by the names of Unicode Standard Annex 15."""
PREFIX_SPACES = ("none", "kept", "dropped")
"""Whether a space is put before a text: never; and decoded with it; and dropped again."""
UNITS = ("codepoints", "bytes")
"""What offsets count: code points, or bytes of UTF-8."""


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """What a vendor declares of a tokenizer, where tokenizers differ and nobody is wrong."""

    size: int
    """Ids are from 0 to ``size`` - 1."""
    special: Mapping[str, int] = field(default_factory=dict)
    """The tokens that steer a model, by their spelling. The token that words become which the
    vocabulary lacks is none of them, though files often call it special: text makes it."""
    bos: int | None = None
    """The special token that ``add_special`` puts before a text; None where it puts none."""
    eos: int | None = None
    """The one that it puts behind."""
    normalisation: str = NORMALISATIONS[0]
    prefix_space: str = PREFIX_SPACES[0]
    """Where it is not ``none``, a text gets a space that does not begin with one."""
    offsets: str = UNITS[0]
    trims_offsets: bool = False
    """Whether the offset of a token leaves out its own leading and trailing spaces."""
    file: str = ""
    """The tokenizer.json that says what the ids are; empty where there is none."""

    def document(self) -> dict[str, Any]:
        """Return the facts as plain JSON values."""
        return {
            "size": self.size,
            "special": dict(self.special),
            "bos": self.bos,
            "eos": self.eos,
            "normalisation": self.normalisation,
            "prefix_space": self.prefix_space,
            "offsets": self.offsets,
            "trims_offsets": self.trims_offsets,
            "file": self.file,
        }

    @classmethod
    def of(cls, document: Any) -> TokenizerFacts | None:
        """Return the facts of such a document; None where there is none."""
        return None if document is None else cls(**document)


@dataclass(frozen=True, slots=True)
class Encoding:
    """The ids of one text."""

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...] | None = None
    """Of each id, where the text that it stands for starts and ends, in the declared unit; None
    where the candidate tells none."""
