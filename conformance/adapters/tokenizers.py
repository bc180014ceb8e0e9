"""Hugging Face tokenizers: ``tokenizers[:path/to/tokenizer.json]``; without a path the suite's own.

It claims what the file allows, where the suite understands all that it says: ids always; of
byte-level BPE bytes and round trips too, of WordLevel no round trips, since unknown words are lost,
and places where it cuts at each character. Of any other kind it claims only what holds for every
tokenizer, and whoever knows more of it claims more by ``--claims``.
"""

from __future__ import annotations

import platform
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from conformance.candidate import choose, not_importable
from conformance.errors import CandidateUnavailable, FormatError, Unsupported
from conformance.records import CandidateInfo, Claims, Encoding, TokenizerFacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from conformance.candidate import Candidate

_ALWAYS = frozenset({"tokenizer", "token_offsets", "text_streams"})
_OF_A_FILE = frozenset({"tokenizer", "tokenizer_file", "text_streams"})
_MODEL = frozenset({"model_vocabulary"})
_PROBE = "a"


@contextmanager
def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]:  # noqa: A001  # the seam
    """Open a tokenizer.json; there are no options.

    Raises:
        CandidateUnavailable: tokenizers is not installed, or cannot read the file.
    """
    choose(options, {})
    try:
        import tokenizers  # noqa: PLC0415
    except ImportError as error:
        install = "pip install llm-conformance[tokenizers]"
        raise not_importable("tokenizers", install, error) from error
    path = Path(target) if target else _own()
    if not path.is_file():
        raise CandidateUnavailable(f"there is no tokenizer.json at {target!r}")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:
        raise CandidateUnavailable(f"tokenizers cannot read {target}: {error}") from error
    yield _Candidate(tokenizer, path, tokenizers.__version__)


def _own() -> Path:
    from reference_model.tokenizer import OWN  # noqa: PLC0415

    return OWN


class _Candidate:
    """One tokenizer of Hugging Face's."""

    def __init__(self, tokenizer: Any, path: Path, version: str) -> None:
        self._tokenizer = tokenizer
        claims, why = _claims(tokenizer, path)
        self.info = CandidateInfo(
            name="tokenizers",
            version=version,
            runtime=f"tokenizers {version}{why}",
            device=platform.machine() or "cpu",
            claims=claims,
            digests={path.name: sha256(path.read_bytes()).hexdigest()},
        )

    def load(self, package: object) -> NoReturn:
        """Refuse: there is no model."""
        raise Unsupported(f"tokenizers has no models such as {package}")

    operator = load

    def encode(
        self, texts: Sequence[str], *, add_special: bool, parse_special: bool
    ) -> list[Encoding]:
        """Return the ids and offsets of each text."""
        self._tokenizer.encode_special_tokens = not parse_special
        found = self._tokenizer.encode_batch(list(texts), add_special_tokens=add_special)
        return [Encoding(tuple(one.ids), tuple(one.offsets)) for one in found]

    def decode(self, rows: Sequence[Sequence[int]], *, skip_special: bool) -> list[str]:
        """Return the text of each row of ids."""
        rows = [list(row) for row in rows]
        return list(self._tokenizer.decode_batch(rows, skip_special_tokens=skip_special))

    def token_bytes(self, ids: Sequence[int]) -> list[bytes]:
        """Return the bytes of each id, of a tokenizer whose decoder is ByteLevel."""
        return [self._bytes(one) for one in ids]

    def _bytes(self, one: int) -> bytes:
        from conformance.oracles.tokenizer_file import ALPHABET  # noqa: PLC0415

        added = self._tokenizer.get_added_tokens_decoder().get(one)
        if added is not None:
            return str(added.content).encode()
        token = self._tokenizer.id_to_token(one) or ""
        return bytes(ALPHABET.index(character) for character in token)

    def stream(self, *, skip_special: bool) -> _Stream:
        """Return an empty stream."""
        return _Stream(self._tokenizer, skip_special=skip_special)


class _Stream:
    """Its own DecodeStream, which has no end: what it holds back then is taken from all the ids."""

    def __init__(self, tokenizer: Any, *, skip_special: bool) -> None:
        from tokenizers.decoders import DecodeStream  # noqa: PLC0415

        self._tokenizer, self._skip = tokenizer, skip_special
        self._stream = DecodeStream(skip_special_tokens=skip_special)
        self._ids: list[int] = []
        self._told = 0

    def add(self, token: int) -> str:
        """Return the text that can go out now."""
        self._ids.append(token)
        text = self._stream.step(self._tokenizer, token) or ""
        self._told += len(text)
        return text

    def finish(self) -> str:
        """Return the rest of the text of all ids."""
        whole: str = self._tokenizer.decode(self._ids, skip_special_tokens=self._skip)
        return whole[self._told :]


def _claims(tokenizer: Any, path: Path) -> tuple[Claims, str]:
    """Return what can be claimed of a file, and in words why it is not more."""
    from conformance.oracles import tokenizer_file  # noqa: PLC0415

    beside = _MODEL if (path.parent / "config.json").is_file() else frozenset()
    try:
        file = tokenizer_file.read(path)
    except FormatError as error:
        return Claims(_ALWAYS, tokenizer=_seen(tokenizer)), f"; of its file nothing: {error}"
    return Claims(_OF_A_FILE | file.promises | beside, tokenizer=file.facts), ""


def _seen(tokenizer: Any) -> TokenizerFacts:
    """Return the facts of a tokenizer by what it does with a letter."""
    added = tokenizer.get_added_tokens_decoder()
    special = {str(token.content): one for one, token in added.items() if token.special}
    plain, framed = (
        tokenizer.encode(_PROBE, add_special_tokens=flag).ids for flag in (False, True)
    )
    more = len(framed) > len(plain)
    bos = framed[0] if more and framed[:1] != plain[:1] else None
    eos = framed[-1] if more and framed[-1:] != plain[-1:] else None
    ids = tokenizer.get_vocab(with_added_tokens=True).values()
    return TokenizerFacts(size=max(ids) + 1, special=special, bos=bos, eos=eos)
