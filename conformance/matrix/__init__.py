"""The kill matrix: every mutant held against every check, on inputs that stay the same.

Each check's inputs are drawn once, from a fixed seed, and given to every candidate; the oracle
answers each of them once. Nothing is shrunk: a cell is a verdict and the worst measurement. A check
ends at the first input that it fails on, and with a mutant at the first model: nothing undoes a
failure, so the verdict is that of all inputs, and the number of a kill what was seen until then.
A check that kills no mutant checks nothing, and a check that fails an honest candidate is wrong.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import candidate as candidates
from conformance import mutants, spec
from conformance.errors import CandidateUnavailable
from conformance.matrix.cells import Cell
from conformance.matrix.corpus import Corpus
from conformance.matrix.honest import HONEST, known_faults, unbuilt
from conformance.records import Oracle, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from conformance.mutants import Mutant
    from conformance.records import Contract, Requirement, Spec

__all__ = [
    "EXPORTED",
    "HALVES",
    "HONEST",
    "Cell",
    "Row",
    "exported",
    "known_faults",
    "reached",
    "rows",
    "smallest_kill",
    "unbuilt",
]

HALVES = ("decoder", "operators")
"""Parts that share neither inputs nor mutants, the longer one first."""
_KINDS = ("decoder", "encoder", "encoder-decoder", "generation")
"""Profiles whose first model stands for its kind where one is enough."""
_OF_ANOTHER_SHAPE = ("transformer-sinusoidal",)
"""Models that stand for a shape which the first of their kind has nothing of."""
_TYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
EXPORTED = (
    "rope-base-ignored",
    "padding-mask-ignored",
    "attention-scale-of-one-more",
    "norm-subtracts-the-mean",
    "gate-by-gelu-of-tanh",
    "cache-puts-new-values-first",
    "logits-capped",
    "gate-and-up-swapped",
    "scores-in-bfloat16",
)
"""Faults of the decoder that are tried as exported graphs too, at fp32: one for each topic."""
_LAST = "FAULT-001"
"""Compares with every known fault, which takes longer than all else: asked where nothing failed."""
_SAMPLING = {"distributions", "sampling"}
_TEXT = {"tokenizer"}
_BOTH = {"encoder_decoder", "target_cache"}
_NO_DECODER = {*_SAMPLING, *_TEXT, "encoder", *_BOTH}
"""Capabilities that show nothing of a decoder, and are asked of its faults only where named."""
_SEEN_BY: Mapping[str, set[str]] = {
    **{name: {"cache"} for name in mutants.SESSION},
    "generate": {"generation"},
    "generation": {"generation"},
    "encoder": {"encoder"},
    "encode_tokens": {"encoder"},
    "encoder_decoder": _BOTH,
    "transformer": _BOTH,
    "decode_tokens": {"encoder_decoder"},
    **{name: {"target_cache"} for name in mutants.TARGET},
    "packed_logits": {"packed"},
    "within_documents": {"packed"},
    "process": _SAMPLING,
    "draw": {"sampling"},
    **dict.fromkeys(("tokenizer", "word_level", *mutants.TEXT), _TEXT),
}
"""By what a mutant replaces: the capabilities that show it, where not all of a model's do."""


@dataclass(frozen=True, slots=True)
class Row:
    """A mutant, or an honest candidate (without a mutant), with its cells."""

    name: str
    mutant: Mutant | None
    cells: tuple[Cell, ...]

    @property
    def killed_by(self) -> tuple[str, ...]:
        """Ids of the requirements that failed it."""
        return tuple(cell.requirement for cell in self.cells if cell.verdict is Verdict.FAIL)


def rows(
    precision: str = "fp32",
    only: Collection[str] | None = None,
    honest: Sequence[str] = ("mutant",),
    *,
    declared: bool = False,
    without: Collection[str] = (),
    halves: Collection[str] = HALVES,
    share: tuple[int, int] = (0, 1),
) -> Iterator[Row]:
    """Judge honest candidates, then mutants, by all requirements, one row at a time.

    Args:
        precision: the contract at which all compute and are judged.
        only: names of the mutants; None for all.
        honest: honest candidates; one whose runtime is not installed is left out.
        declared: whether to try a mutant only on the requirements that it names, what is no fault
            on one model of its kind, and an honest candidate on those of the halves' own profiles.
        without: requirements that are left out.
        halves: which parts of the matrix; an honest candidate has a row in each.
        share: which of how many shares of the rows, which several processes may divide.
    """
    first, step = share
    standard = spec.load()
    every = standard.requirements.values()
    requirements = [r for r in every if r.id not in without and _half(r.operator) in halves]
    corpora = _Corpora(standard)
    for text in honest[first::step]:
        try:
            left_out = corpora.beyond if declared else ()
            yield Row(text, None, corpora.cells(text, requirements, left_out))
        except CandidateUnavailable:
            continue
    for name, mutant in [*mutants.all_mutants().items()][first::step]:
        exported = mutant.replaces == "graph"  # the suite exports fp32 graphs alone
        here = _half(mutant.operator) in halves and (precision == "fp32" or not exported)
        if here and (only is None or name in only):
            columns = reached(mutant, requirements)
            if declared and mutant.kills:
                columns = [r for r in columns if r.id in mutant.kills]
            left_out = corpora.left_out(mutant, declared=declared)
            yield corpora.row(f"mutant:{name}?dtype={_TYPES[precision]}", mutant, columns, left_out)


def exported(only: Collection[str] = EXPORTED) -> Iterator[Row]:
    """Judge faults of the decoder as exported graphs in ONNX Runtime, by what should kill them."""
    standard = spec.load()
    corpora = _Corpora(standard)
    for name in only:
        mutant = mutants.all_mutants()[name]
        named = [standard.requirements[i] for i in mutant.kills]
        # The planted models are many to export, and show the same fault.
        columns = [r for r in named if r.oracle is not Oracle.CLOSED_FORM]
        yield corpora.row(f"mutant:{name}?export=onnx", mutant, columns, corpora.beyond)


def _half(operator: str | None) -> str:
    """Return which half of the matrix a requirement or a mutant of that operator belongs to."""
    return HALVES[operator is not None]


class _Corpora:
    """A corpus for each contract that is claimed: candidates of one type may round differently."""

    def __init__(self, standard: Spec) -> None:
        self._standard = standard
        self._models = tuple(
            dict.fromkeys(name for p in standard.profiles.values() for name in p.models)
        )
        own = {name for half in HALVES for name in standard.profiles[half].models}
        self.beyond = tuple(name for name in self._models if name not in own)
        self._firsts = {standard.profiles[kind].models[0] for kind in _KINDS} | {*_OF_ANOTHER_SHAPE}
        self._found: dict[Contract, Corpus] = {}

    def left_out(self, mutant: Mutant, *, declared: bool) -> tuple[str, ...]:
        """Return the models on which a mutant is not asked what it does not name.

        What names nothing, being no fault, is asked on one model of each kind at least.
        """
        if mutant.kills:
            return self.beyond
        out = self._models if declared else self.beyond
        return tuple(name for name in out if name not in self._firsts)

    def cells(
        self,
        text: str,
        requirements: Sequence[Requirement],
        left_out: Collection[str] = (),
        *,
        far: Collection[str] = (),
        briefly: bool = False,
    ) -> tuple[Cell, ...]:
        """Judge a candidate by requirements, under the contract that it claims.

        Args:
            text: the candidate, as a command line has it.
            requirements: those whose checks are run.
            left_out: models that are not asked, beside those that the candidate does not build.
            far: models that are asked by what has failed on no other.
            briefly: whether a check that has failed on one model is done with.
        """
        with ExitStack() as stack:
            candidate = stack.enter_context(candidates.open_candidate(text))
            claims, against = candidate.info.claims, None
            contract = spec.contract_of(self._standard, claims)
            if contract not in self._found:
                self._found[contract] = Corpus(contract, self._models)
            if any(r.two_candidates for r in requirements):
                honest = f"mutant?dtype={_TYPES[claims.precision]}"
                other = stack.enter_context(candidates.open_candidate(honest))
                against = other, spec.contract_of(self._standard, other.info.claims)
            corpus = self._found[contract]
            without = {*left_out, *unbuilt(text)}
            return tuple(
                corpus.judge(candidate, requirements, against, without, far=far, briefly=briefly)
            )

    def row(
        self,
        text: str,
        mutant: Mutant,
        requirements: Sequence[Requirement],
        left_out: Collection[str],
    ) -> Row:
        """Judge a mutant by requirements, the slow one only where it is named or none failed.

        What it names is asked on all models, where those of the halves' own profiles show nothing.

        Args:
            text: the candidate, as a command line has it.
            mutant: what is wrong with it.
            requirements: those whose checks are run.
            left_out: models that are not asked by what the mutant does not name: on each further
                one they tell whom else a fault meets only once more.
        """
        named = [r for r in requirements if r.id in mutant.kills]
        others = [r for r in requirements if r not in named and r.id != _LAST]
        late = [r for r in requirements if r not in named and r.id == _LAST]
        cells = self.cells(text, named, far=self.beyond, briefly=True) if named else ()
        if others:
            cells += self.cells(text, others, left_out, briefly=True)
        if late and not any(cell.verdict is Verdict.FAIL for cell in cells):
            cells += self.cells(text, late, left_out, briefly=True)
        if mutant.replaces == "load":  # it has changed files
            for corpus in self._found.values():
                corpus.restore()
        return Row(mutant.name, mutant, cells)


def reached(mutant: Mutant, requirements: Sequence[Requirement]) -> list[Requirement]:
    """Return the requirements whose checks can come upon a mutant's fault at all.

    A fault in one operator cannot be seen by a check of another, nor by one of the decoder, which
    has operators of its own; a fault in sessions, in generation, in sampling or in text is seen by
    checks of these alone, and one of a decoder by none of sampling, text or encoders; other cells
    are not run.
    Nor are those of two candidates, of closed forms and of the other profiles beside the two that
    the halves are named for unless the mutant names them: beside an honest candidate, on models
    that are blind by design, or in a second request, they fail what the others do, and little else.
    What is no fault has to pass relations all the same.
    """
    requirements = [r for r in requirements if r.id in mutant.kills or _is_tried(mutant, r)]
    if mutant.operator is not None:
        return [r for r in requirements if (r.operator or "").partition("-")[0] == mutant.operator]
    if mutant.replaces == "info":
        return [r for r in requirements if r.operator is None and not r.needs]
    seen_by = _SEEN_BY.get(mutant.replaces.partition(".")[0])
    if seen_by is not None:
        return [r for r in requirements if seen_by & set(r.needs)]
    model = (r for r in requirements if r.operator is None and r.needs)
    return [r for r in model if r.id in mutant.kills or not _NO_DECODER & set(r.needs)]


def _is_tried(mutant: Mutant, requirement: Requirement) -> bool:
    """Return whether a mutant is held against a requirement that it does not name."""
    profiles = spec.load().profiles
    if any(requirement.id in profiles[half].requirements for half in HALVES):
        return True
    seen_by = _SEEN_BY.get(mutant.replaces.partition(".")[0], set())
    shown = requirement.oracle is Oracle.RELATION or bool(seen_by & set(requirement.needs))
    return bool(mutant.equivalent) and shown


def smallest_kill(found: Sequence[Row], requirement: str) -> tuple[Row, Cell] | None:
    """Return the mutant that a requirement kills by the least, and the cell that says by how much.

    A kill without a number, such as a crash, is the largest there is.
    """
    kills = [
        (row, cell)
        for row in found
        for cell in row.cells
        if row.mutant and cell.requirement == requirement and cell.verdict is Verdict.FAIL
    ]
    return min(kills, key=lambda kill: (kill[1].severity, kill[0].name), default=None)
