"""What the files of the kill matrix share: which mutants are whose, their rows, what has to hold.

A file is tried in one process, so each part of the matrix is a file. Rows are judged by what
mutants name. A change waits for what it touches and for a share of all the rest, another one at
each revision of the suite, unless LLM_CONFORMANCE_MATRIX=all asks for every mutant. The whole
matrix is `make matrix`. Honest candidates are held against requirements by the same rule.
"""

from __future__ import annotations

import torch
from turns import ALL, turn

from conformance import matrix, mutants, proof, spec
from conformance.candidate import open_candidate
from conformance.matrix import touched
from conformance.plan import unclaimed
from conformance.records import Verdict

KNOWN = mutants.all_mutants()
SHARES = 8
"""Of what a change does not touch, one part in so many is tried."""
OF_NARROW = 12 * SHARES
"""In narrow types, of all."""
SEEN = proof.kept()["sources"]
TOUCHED = touched.touched(SEEN)
OF_GRAPHS = ("PKG-002", "PKG-003")
"""Requirements of an ONNX graph's constants: of all others alone they may say "not applicable"."""
SLOW = ("FAULT-001",)
"""Compares with every known fault, on a corpus eight times as long where rounding hides some."""
_STEPWISE = {*mutants.SESSION, "generate", "generation", "process", "draw"}
"""What is replaced, before a dot, in faults that show only over several steps or draws."""


def asked():
    """Return the requirements that honest candidates are held against."""
    return {*touched.requirements(SEEN), *turn(spec.load().requirements, SHARES)}


def tried():
    """Return the mutants that are tried at fp32."""
    return [*dict.fromkeys([*TOUCHED, *turn(KNOWN, SHARES)])]


def told():
    """Return in a line what is tried of the matrix and what is not."""
    if ALL:
        return f"kill matrix: all {len(KNOWN)} mutants on what they name"
    return (
        f"kill matrix: {len(tried())} of {len(KNOWN)} mutants on what they name: {len(TOUCHED)} "
        f"that the change touches, and one in {SHARES} of the rest, others at the next revision, "
        f"as are the {len(asked())} requirements that honest candidates are held against; "
        "all with LLM_CONFORMANCE_MATRIX=all, and on everything by make matrix"
    )


def part_of(mutant):
    """Return the part of the matrix that a mutant belongs to."""
    if mutant.operator is not None:
        return "operators"
    return "sessions" if mutant.replaces.partition(".")[0] in _STEPWISE else "models"


def faults(part):
    """Return the names of a part's mutants that are tried and have to be killed."""
    return [n for n in tried() if part_of(KNOWN[n]) == part and not KNOWN[n].equivalent]


def variants(part):
    """Return the names of a part's mutants that are tried and are no faults."""
    return [n for n in tried() if part_of(KNOWN[n]) == part and KNOWN[n].equivalent]


def rows_of(part):
    """Return a part's rows at fp32 by name, each judged where its mutant says that it is seen."""
    return found(only=[*faults(part), *variants(part)], honest=(), declared=True)


def narrow(precision):
    """Return the mutants whose turn it is, of those to be killed at a precision; one at least."""
    names = fatal(precision)
    return turn(names, OF_NARROW) or names[:1]


def narrow_rows(precision):
    """Return the rows at a precision of its mutants whose turn it is, on more where none kills."""
    rows = found(precision, narrow(precision), honest=(), declared=True)
    alive = [name for name, row in rows.items() if not row.killed_by]
    return list((rows | found(precision, alive, honest=(), without=SLOW)).values())


def honest_rows(names, *, everywhere=False):
    """Return the rows of honest candidates by name, each held against what is asked.

    Args:
        names: how they are opened.
        everywhere: whether on the models of every profile, without what is slow on many.
    """
    without = spec.load().requirements.keys() - asked()
    if everywhere:
        without |= {*SLOW}
    return found(only=(), honest=names, declared=not everywhere, without=without)


def fatal(precision):
    """Return the mutants that have to be killed at a precision, and not slowly."""
    return [
        name
        for name, mutant in KNOWN.items()
        if mutant.kills
        and not mutant.proof(precision)
        and precision not in mutant.below_noise_at
        and not set(SLOW) & set(mutant.kills)
        and mutant.replaces != "graph"
    ]


def found(*args, **kwargs):
    """Return rows of the matrix by name, computed with one thread.

    For models this small, more threads mostly wait for each other.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {row.name: row for row in matrix.rows(*args, **kwargs)}
    finally:
        torch.set_num_threads(threads)


def unlike_what_it_says(row):
    """Return where a mutant is not failed by each requirement that it names, and by no other."""
    named, cells = set(row.mutant.kills), {cell.requirement: cell for cell in row.cells}
    differing = sorted(named ^ set(row.killed_by))
    return [told_of(cells[name]) if name in cells else f"{name} not asked" for name in differing]


def unlike_a_variant(row):
    """Return what a variant, which is no fault, does not pass of what can come upon it."""
    wrong = [told_of(cell) for cell in cells_of(row) if cell.verdict is not Verdict.PASS]
    return wrong if passed(row) else [*wrong, "it passes nothing"]


def unlike_an_honest_one(row, *, everywhere=False):
    """Return what an honest candidate owes and does not pass, but what it is known to do wrong.

    Args:
        row: one of :func:`honest_rows`.
        everywhere: as it was said there.
    """
    owes = owed(row.name, everywhere=everywhere) & asked() - {*(SLOW if everywhere else ())}
    cells = row.cells if is_graph(row) else cells_of(row)
    excused = () if is_graph(row) else OF_GRAPHS
    judged = {cell.requirement for cell in cells}
    known = matrix.known_faults(row.name)
    wrong = [f"{name} is owed and was not asked" for name in owes - judged - {*excused}]
    for cell in cells:
        wanted = Verdict.FAIL if cell.requirement in known else Verdict.PASS
        if cell.verdict is not wanted:
            wrong.append(told_of(cell))
    return wrong if owes else ["it owes nothing, so that nothing is shown"]


def told_of(cell):
    """Return a cell in words."""
    return f"{cell.requirement} {cell.verdict.name}: {cell.message}"


def is_graph(row):
    """Return whether a candidate runs an exported graph, whose constants can be read."""
    return row.name.startswith("onnxruntime")


def owed(name, *, everywhere=False):
    """Return what a candidate owes of what it claims, on the models that it is asked on."""
    standard = spec.load()
    profiles = standard.profiles if everywhere else matrix.HALVES
    models = {model for profile in profiles for model in standard.profiles[profile].models}
    with open_candidate(name) as candidate:
        claims = candidate.info.claims
    return {
        one.id
        for one in standard.requirements.values()
        if not unclaimed(one, claims)
        and models.intersection(spec.models_of(standard, one.id) or models)
    }


def cells_of(row):
    """Return a row's cells, but those of graphs where they tell that the candidate is none."""
    return [
        cell
        for cell in row.cells
        if cell.requirement not in OF_GRAPHS or cell.verdict is not Verdict.NOT_APPLICABLE
    ]


def passed(row):
    """Return the ids of the requirements that a row passes."""
    return {cell.requirement for cell in row.cells if cell.verdict is Verdict.PASS}
