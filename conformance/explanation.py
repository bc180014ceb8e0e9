"""Everything that the suite knows of one requirement, gathered for a reader.

The verb ``explain`` prints it, and the readable text of the standard is made of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import catalogue, mutants, proof
from conformance.oracles.closed_form import FORMS
from conformance.records import Oracle
from conformance.records.sampling import SEEN, STEPS, TIES
from conformance.records.tokenizer import NORMALISATIONS, PREFIX_SPACES, UNITS
from conformance.report._text import wrapped
from conformance.tolerances import TOLERANCES, Tolerance

if TYPE_CHECKING:
    from conformance.mutants import Mutant
    from conformance.records import Requirement

ORACLES = {
    Oracle.REFERENCE: "an independent computation in fp64, with an error bound or a noise unit",
    Oracle.CLOSED_FORM: "a formula that gives the expected value exactly",
    Oracle.RELATION: "two answers of the candidate that have to agree with each other",
    Oracle.VECTOR: "published test vectors",
    Oracle.SCHEMA: "a schema and the rules of a format",
    Oracle.STATISTICAL: "a statistical test of many answers",
}
"""Where each oracle takes the expected value from."""
POLICIES = (
    ("`order`", ", ".join(STEPS), "the steps that there are, in their order"),
    ("`top_k_ties`", ", ".join(TIES), "what stays of tokens as probable as the k-th"),
    ("`repetition_sees`", ", ".join(SEEN), "the tokens that the penalty looks at"),
    (
        "`presence_sees`",
        ", ".join(reversed(SEEN)),
        "the tokens that the presence and the frequency penalty look at",
    ),
    ("`last_tokens`", "0, or a number", "how many of the last of them; 0 for all"),
)
"""What a candidate declares of its sampling, its values, and what it means."""
FACTS = (
    ("`size`", "a number", "ids are from 0 to one less"),
    (
        "`special`",
        "spellings with their ids",
        "the tokens that steer a model, not an unknown word's",
    ),
    ("`bos`, `eos`", "an id, or none", "what is put before a text and behind it, where asked"),
    ("`normalisation`", ", ".join(NORMALISATIONS), "what is done to text before it is cut"),
    ("`prefix_space`", ", ".join(PREFIX_SPACES), "whether a text gets a space before it"),
    ("`offsets`", ", ".join(UNITS), "what offsets count"),
    ("`trims_offsets`", "false, true", "whether an offset may leave out the spaces of its id"),
    ("`file`", "a path, or none", "the tokenizer.json that says what the ids are"),
)
"""What a candidate declares of its tokenizer, its values, and what it means."""


def tolerances(requirement: str) -> dict[str, Tolerance]:
    """Return how the tolerance of a requirement is decided, by the judges of its checks."""
    judges = [judge for check in catalogue.deciding(requirement) for judge in check.judges()]
    return {judge: TOLERANCES[judge] for judge in dict.fromkeys(judges)}


def mutants_killed(requirement: str) -> list[Mutant]:
    """Return the mutants that a requirement's checks have to fail."""
    return [m for m in mutants.all_mutants().values() if requirement in m.kills]


def closed_forms(requirement: Requirement) -> list[str]:
    """Return what each planted model answers, what shows on it and to what it is blind."""
    if requirement.oracle is not Oracle.CLOSED_FORM:
        return []
    return [f"{f.name}: {f.formula}. Shows {f.sees}. Blind to {f.blind}." for f in FORMS.values()]


def history(mutant: Mutant) -> str:
    """Return where a mutant's bug was met."""
    return "Made again and again." if mutant.bug == "generic" else f"Historic bug: {mutant.bug}."


def needs(requirement: Requirement) -> str:
    """Return what a requirement needs: capabilities, and a second candidate."""
    told = ", ".join(requirement.needs) or "no capability"
    told += f"; sampling steps {', '.join(requirement.steps)}" if requirement.steps else ""
    return f"{told}; of two candidates (--against)" if requirement.two_candidates else told


def render(requirement: Requirement) -> str:
    """Return what a requirement means, for a terminal."""
    rows = [
        ("level", requirement.level.value),
        ("source", requirement.source),
        ("since", requirement.since),
        ("needs", needs(requirement)),
        ("oracle", f"{requirement.oracle.value}: {ORACLES[requirement.oracle]}"),
    ]
    rows += [("operator", f"ONNX {requirement.operator}")] if requirement.operator else []
    rows += [("untestable", requirement.untestable)] if requirement.untestable else []
    for judge, tolerance in tolerances(requirement.id).items():
        rows += [("tolerance", f"{tolerance.demand} ({judge})"), ("basis", tolerance.basis)]
    rows += [("model", text) for text in closed_forms(requirement)]
    rows += [("check", f"{c.module}.py: {c.name}") for c in catalogue.deciding(requirement.id)]
    rows += [
        ("kills", f"{m.name}: {m.summary} {history(m)}") for m in mutants_killed(requirement.id)
    ]
    rows += [("notices", f"{least}") for least in proof.noticed(requirement.id)]
    lines = [_wrapped(label, text) for label, text in rows]
    head = wrapped(requirement.statement, f"{requirement.id}  ", " " * (len(requirement.id) + 2))
    return "\n".join([head, "", *lines])


def _wrapped(label: str, text: str) -> str:
    return wrapped(text, f"  {label:<11}", " " * 13)
