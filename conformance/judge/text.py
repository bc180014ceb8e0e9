r"""Text and ids, one by one: the same, in range, in place. Nothing is near: it is right or wrong.

Text is told in ASCII, so that what looks alike, turns lines around or cannot be seen is read as
what it is: ``'e\u0301'`` and ``'\xe9'`` are two texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import evidence
from conformance.errors import Nonconformity
from conformance.records import Measurement

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from conformance.oracles.text import Place
    from conformance.records import Encoding, TokenizerFacts

_AROUND = 24
"""Characters, or ids, that are shown on each side of a difference."""
_ENDS = ("bos_token_id", "eos_token_id", "pad_token_id")
"""The ids that a config.json names."""


def same_texts(observed: Sequence[str], expected: Sequence[str]) -> None:
    """Demand the same texts, character for character."""
    _alike("other texts", "texts", observed, expected, _in_ascii)


def same_ids(
    observed: Sequence[Sequence[int]], expected: Sequence[Sequence[int]], texts: Sequence[str]
) -> None:
    """Demand the same ids of each text."""
    _alike("other ids", "texts", _listed(observed), _listed(expected), str, texts)


def same_offsets(
    observed: Sequence[Encoding], expected: Sequence[Sequence[Place | None]], texts: Sequence[str]
) -> None:
    """Demand that each id stands for the part of the text that its bytes are of.

    Spaces that it begins or ends with may be left out where that is declared. Of an id that stands
    for nothing of the text, a space put before it, nothing is demanded.
    """
    wrong = []
    for one, places, text in zip(observed, expected, texts, strict=True):
        told = zip(one.offsets or (), places, strict=True)
        wrong += [
            f"{span} where {place.widest} is right, of {_in_ascii(text[: 2 * _AROUND])}"
            for span, place in told
            if place is not None and not _is_at(span, place)
        ][:1]
    _none("other offsets", "texts", wrong, len(texts))


def _is_at(span: tuple[int, int], place: Place) -> bool:
    (first, last), (start, end) = place.widest, place.narrowest
    if start == end:  # of spaces alone, all of which may be left out
        return first <= span[0] <= span[1] <= last
    return first <= span[0] <= start and end <= span[1] <= last


def ids_exist(observed: Sequence[Sequence[int]], facts: TokenizerFacts) -> None:
    """Demand that each id is one of the declared ones."""
    wrong = [one for row in observed for one in row if not 0 <= one < facts.size]
    _none("ids that there are not", "ids", wrong, sum(map(len, observed)), f"below {facts.size}")


def none_special(observed: Sequence[Sequence[int]], facts: TokenizerFacts) -> None:
    """Demand that no id is a special token's."""
    steering = set(facts.special.values())
    wrong = [one for row in observed for one in row if one in steering]
    _none("special tokens made by text", "ids", wrong, sum(map(len, observed)) + 1)


def offsets_in_place(
    observed: Sequence[Encoding], texts: Sequence[str], facts: TokenizerFacts
) -> None:
    """Demand that offsets go through the text, from its start to its end, and leave nothing out."""
    wrong = [f"{t!a}: {w}" for e, t in zip(observed, texts, strict=True) for w in _out(e, t, facts)]
    _none("offsets out of place", "texts", wrong, len(texts))


def _out(one: Encoding, text: str, facts: TokenizerFacts) -> Iterable[str]:
    """Yield what is wrong with the offsets of one text."""
    whole: str | bytes = text.encode() if facts.offsets == "bytes" else text
    last, reached = 0, 0
    for start, end in one.offsets or ():
        if not last <= start <= end <= len(whole):
            yield f"({start}, {end}) behind one that starts at {last}, of {len(whole)} in all"
            return
        if not _may_miss(whole[reached:start], facts):
            yield f"nothing stands for {whole[reached:start]!a}, from {reached} to {start}"
        last, reached = start, max(reached, end)
    if not _may_miss(whole[reached:], facts):
        yield f"nothing stands for {whole[reached:]!a}, from {reached} on"


def _may_miss(part: str | bytes, facts: TokenizerFacts) -> bool:
    space = b" " if isinstance(part, bytes) else " "
    return not part or (facts.trims_offsets and not part.strip(space))  # type: ignore[arg-type]


def same_facts(observed: TokenizerFacts, expected: TokenizerFacts) -> None:
    """Demand that what is declared is what the file says; where offsets are cut is free."""
    mine, files = observed.document(), expected.document()
    free = {"file", "offsets", "trims_offsets"}
    wrong = [
        f"{n} {mine[n]!a} for {files[n]!a}" for n in files if n not in free and mine[n] != files[n]
    ]
    _none("facts that the file has otherwise", "facts", wrong, len(files) - len(free))


def fits_model(facts: TokenizerFacts, config: Mapping[str, Any]) -> None:
    """Demand that a model has a row for each id, and that its ends are special tokens."""
    wrong = []
    if not facts.size <= config["vocab_size"]:
        wrong.append(f"vocab_size is {config['vocab_size']}, and there are {facts.size} ids")
    for key, mine in zip(_ENDS, (facts.bos, facts.eos, None), strict=True):
        told = config.get(key)
        ends = told if isinstance(told, list) else [told] if told is not None else []
        wrong += [f"{key} {one} is no special token" for one in ends if not _steers(one, facts)]
        if ends and mine is not None and mine not in ends:
            wrong.append(f"{key} is {told}, and the tokenizer takes {mine}")
    _none("contradictions between tokenizer and model", "facts", wrong, 1 + len(_ENDS))


def _steers(one: int, facts: TokenizerFacts) -> bool:
    return one in facts.special.values()


def _alike(
    metric: str,
    unit: str,
    observed: Sequence[Any],
    expected: Sequence[Any],
    told: Any,
    asked: Sequence[str] = (),
) -> None:
    """Demand that two rows of answers are the same; tell the first that is not."""
    if len(observed) != len(expected):
        raise ValueError(f"a judge was given {len(observed)} answers for {len(expected)}")
    wrong = [
        i for i, (one, other) in enumerate(zip(observed, expected, strict=True)) if one != other
    ]
    where, context = "", ""
    if wrong:
        one, other = observed[wrong[0]], expected[wrong[0]]
        at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
        at = min(len(one), len(other)) if at is None else at
        part = slice(max(0, at - _AROUND), at + _AROUND)
        where = f"row {wrong[0]}, place {at}"
        context = f"answered {told(one[part])} where {told(other[part])} is right"
        context += f", of {_in_ascii(asked[wrong[0]][: 2 * _AROUND])}" if asked else ""
    _settle(Measurement(metric, float(len(wrong)), 0.0, unit, where, len(expected)), context)


def _none(metric: str, unit: str, wrong: Collection[Any], count: int, allowed: str = "") -> None:
    """Demand that nothing is wrong; tell the first thing that is."""
    context = f"first {next(iter(wrong))}" if wrong else ""
    context += f"; allowed are those {allowed}" if wrong and allowed else ""
    _settle(Measurement(metric, float(len(wrong)), 0.0, unit, "", count), context)


def _settle(measurement: Measurement, context: str) -> None:
    evidence.record(measurement)
    if not measurement.observed <= measurement.limit:
        raise Nonconformity(measurement, context)


def _listed(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(row) for row in rows]


def _in_ascii(text: str) -> str:
    return ascii(text)
