"""A candidate's tokenizer as a check sees it: guarded, its answers checked for form.

Nothing here judges an id: which ones a text may have is what requirements are about.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence, schema
from conformance.candidate import method_of
from conformance.checked.form import guarded
from conformance.errors import FormatError, MalformedOutput
from conformance.oracles import tokenizer_file
from conformance.records import Encoding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from conformance.candidate import Candidate
    from conformance.oracles.tokenizer_parts import TokenizerFile
    from conformance.records import Claims, TokenizerFacts

_HOLDS = "an Encoding holds ids and, where token_offsets is claimed, as many offsets (start, end)"
_CONFIG = "config.json"


class CheckedTokenizer:
    """A candidate's ids and texts, and what its tokenizer.json says, where it has one."""

    def __init__(self, candidate: Candidate, claims: Claims) -> None:
        self._candidate, self._claims = candidate, claims

    @property
    def facts(self) -> TokenizerFacts:
        """What the candidate declares.

        Raises:
            CandidateFault: it declares nothing, or could not be opened.
        """
        if self._claims.tokenizer is not None:
            return self._claims.tokenizer
        raise getattr(self._candidate, "fault", None) or MalformedOutput(
            "the candidate claims 'tokenizer' and does not say what ids there are; wanted "
            "Claims(..., tokenizer=TokenizerFacts(size, ...))"
        )

    @functools.cached_property
    def file(self) -> TokenizerFile:
        """What the declared tokenizer.json says.

        Raises:
            FormatError: it is of a kind that is not understood.
        """
        with evidence.time_of("oracle"):
            return tokenizer_file.read(self.facts.file)

    @property
    def spellings(self) -> tuple[str, ...]:
        """Spellings that are tokens: special ones, and those that a known file adds to them."""
        return (*self.facts.special, *(self.file.added if self._known else ()))

    @property
    def words(self) -> tuple[str, ...]:
        """The words of a known file's vocabulary; none where its tokens are bytes."""
        return self.file.words if self._known else ()

    @property
    def unknown(self) -> frozenset[int]:
        """Ids that a known file skips with special tokens, and that text makes: unknown words."""
        if not self._known:
            return frozenset()
        return frozenset(self.file.special.values()) - {*self.file.facts.special.values()}

    @property
    def _known(self) -> bool:
        return "tokenizer_file" in self._claims.capabilities

    def said(self, texts: Sequence[str], **asked: bool) -> list[list[int]]:
        """Return the ids of texts that the tokenizer.json says."""
        with evidence.time_of("oracle"):
            return [self.file.ids(text, **asked) for text in texts]

    def config(self) -> Mapping[str, Any]:
        """Return the config.json beside the declared tokenizer.json.

        Raises:
            MalformedOutput: there is none that can be read.
        """
        path = Path(self.facts.file).parent / _CONFIG
        try:
            config: Mapping[str, Any] = schema.load(path)
        except (OSError, FormatError) as error:
            raise MalformedOutput(
                f"the candidate claims 'model_vocabulary', which is about {path}: {error}"
            ) from error
        return config

    def encode(
        self, texts: Sequence[str], *, add_special: bool = False, parse_special: bool = False
    ) -> list[Encoding]:
        """Ask the candidate for the ids of texts."""
        asked = {"add_special": add_special, "parse_special": parse_special}
        what = method_of(self._candidate, "encode")
        answer = _rows("encode", guarded("encode", lambda: what(list(texts), **asked)), texts)
        offsets = "token_offsets" in self._claims.capabilities
        found = [_encoding(one, offsets=offsets) for one in answer]
        for one in found:
            _keep(one.ids)
        return found

    def ids(self, text: str, **asked: bool) -> list[int]:
        """Ask for the ids of one text."""
        return list(self.encode([text], **asked)[0].ids)

    def decode(self, rows: Sequence[Sequence[int]], *, skip_special: bool = False) -> list[str]:
        """Ask the candidate for the texts of rows of ids."""
        what, own = method_of(self._candidate, "decode"), [list(row) for row in rows]
        answer = guarded("decode", lambda: what(own, skip_special=skip_special))
        found = [_text("decode", one) for one in _rows("decode", answer, rows)]
        for text in found:
            _keep(text.encode())
        return found

    def text(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """Ask for the text of one row of ids."""
        return self.decode([ids], skip_special=skip_special)[0]

    def token_bytes(self, ids: Sequence[int]) -> list[bytes]:
        """Ask the candidate for the bytes of ids."""
        what, own = method_of(self._candidate, "token_bytes"), list(ids)
        found = _rows("token_bytes", guarded("token_bytes", lambda: what(own)), ids)
        if not all(isinstance(one, bytes) for one in found):
            raise MalformedOutput("token_bytes answered something else than a list of bytes")
        _keep(b"".join(found))
        return list(found)

    def stream(self, *, skip_special: bool = False) -> CheckedStream:
        """Ask the candidate for what turns ids into text as they come."""
        what = method_of(self._candidate, "stream")
        return CheckedStream(guarded("stream", lambda: what(skip_special=skip_special)))

    def streamed(self, ids: Sequence[int], *, skip_special: bool = False) -> list[str]:
        """Return what comes out behind each of some ids, and what is left at their end."""
        stream = self.stream(skip_special=skip_special)
        return [*(stream.add(one) for one in ids), stream.finish()]


class CheckedStream:
    """A candidate's stream of text."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def add(self, token: int) -> str:
        """Give it one more id; return the text that comes out."""
        what = method_of(self._stream, "add")
        return _kept_text("add", guarded("add", lambda: what(token)))

    def finish(self) -> str:
        """Say that no more ids come; return the text that was left."""
        what = method_of(self._stream, "finish")
        return _kept_text("finish", guarded("finish", what))


def _kept_text(what: str, answer: Any) -> str:
    text = _text(what, answer)
    _keep(text.encode())
    return text


def _keep(values: Sequence[int] | bytes) -> None:
    """Keep an answer for who compares it with a mutant's: exactly."""
    evidence.answered(np.array(list(values), np.int64), lambda array: np.zeros(array.shape))


def _rows(what: str, answer: Any, asked: Sequence[Any]) -> Sequence[Any]:
    if isinstance(answer, list | tuple) and len(answer) == len(asked):
        return answer
    got = f"{len(answer)} rows" if isinstance(answer, list | tuple) else type(answer).__name__
    raise MalformedOutput(f"{what} answered {got}; wanted a list of {len(asked)}")


def _text(what: str, answer: Any) -> str:
    if not isinstance(answer, str):
        raise MalformedOutput(f"{what} answered a {type(answer).__name__}; wanted text")
    try:
        answer.encode()
    except UnicodeEncodeError as error:
        raise MalformedOutput(
            f"{what} answered lone surrogates, which no text in UTF-8 has: {answer!a}"
        ) from error
    return str(answer)


def _encoding(one: Any, *, offsets: bool) -> Encoding:
    ids = _ints(one.ids) if isinstance(one, Encoding) else None
    if ids is None:
        raise MalformedOutput(f"encode answered a {type(one).__name__}; {_HOLDS}")
    if not offsets:
        return Encoding(ids)
    told = one.offsets if isinstance(one.offsets, list | tuple) else ()
    spans = [_ints(span) for span in told]
    pairs = [(span[0], span[1]) for span in spans if span is not None and len(span) == 2]
    if not len(pairs) == len(told) == len(ids):
        raise MalformedOutput(f"encode answered {len(ids)} ids and {len(pairs)} offsets; {_HOLDS}")
    return Encoding(ids, tuple(pairs))


def _ints(values: Any) -> tuple[int, ...] | None:
    """Return plain integers; None where a value is something else."""
    if not isinstance(values, list | tuple):
        return None
    whole = (isinstance(v, int | np.integer) and not isinstance(v, bool) for v in values)
    return tuple(int(v) for v in values) if all(whole) else None
