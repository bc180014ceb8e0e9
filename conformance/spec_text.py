"""The standard as a text that people read: ``spec/README.md``, generated from the standard's data.

``python -m conformance.spec_text`` writes it (so does ``make docs``), and a test fails when it is
stale. What a requirement says stands in the data; here stand the words around it.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import catalogue, explanation, proof, schema, spec
from conformance.oracles.closed_form import FORMS
from conformance.records import Outcome, Verdict
from conformance.tolerances import TOLERANCES
from conformance.verdicts import EXIT_CODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from conformance.records import Requirement, Spec

FILE = Path(spec.__file__).with_name("README.md")
COMMAND = "python -m conformance.spec_text"

_OPENING = (
    "This is version {version} of the standard: testable sentences about what a correct "
    "implementation of a large language model computes. Each has an id that is never reused, a "
    "level (MUST or SHOULD, as in RFC 2119) and a source. The JSON files beside this page are the "
    "standard itself; this page is generated from them by `{command}`, together with what the "
    "suite does about each sentence.\n\n"
    "A released set of requirements is frozen: a later change is a new version. A requirement that "
    "no test can decide is listed all the same, with the reason."
)

_TITLES = {"mlp": "MLP", "rope": "RoPE"}
"""Topics whose title is not their name in upper case at the front."""

GLOSSARY = {
    "candidate": "the runtime or model under test in a run",
    "model package": "a folder with one model: `config.json`, `model.safetensors`, and where made "
    "`model.onnx`",
    "requirement": "one testable sentence with an id, a level and a source",
    "profile": "the list of requirements that one certificate is about",
    "claims": "what the vendor says that the candidate supports",
    "capability": "a word in the claims that a requirement may need",
    "precision contract": "the types in which a candidate says that it computes, with their limits",
    "check": "a test function that decides one requirement",
    "case": "one parametrisation of a check",
    "oracle": "where the expected value comes from",
    "relation": "an oracle for which two outputs of the candidate must agree",
    "judge": "compares observed with expected, and refuses what is beyond the limit",
    "measurement": "metric, observed, limit, unit, count, and where the worst was",
    "headroom": "the share of a limit that a measurement left",
    "noise unit": "the RMS error of honest implementations at the claimed precision",
    "evidence": "the measurements and arrays kept for a verdict",
    "verdict": "what became of a case or a requirement",
    "outcome": "what became of a run",
    "waiver": "dated permission to fail one requirement",
    "report": "the record of a run",
    "mutant": "a candidate of the suite's own with exactly one fault; it proves the checks",
}

VERDICTS = {
    Verdict.NOT_APPLICABLE: "a needed capability is not claimed or not shown by a model's file, or "
    "the sentence is untestable",
    Verdict.PASS: "every case of every check passed",
    Verdict.NOT_RUN: "deselected, never collected, or the run ended before",
    Verdict.INCONCLUSIVE: "the same input gave different results, and no answer was wrong",
    Verdict.ERROR: "the suite's own fault: never the candidate's",
    Verdict.FAIL: "an answer was wrong or malformed, the candidate crashed or hung, or it gave "
    "different answers to the same question, one of them wrong",
}

OUTCOMES = {
    Outcome.CONFORMANT: "every MUST passed or is not applicable, at least one passed, and the "
    "whole profile was selected",
    Outcome.CONDITIONAL: "the same, but for failures that are waived",
    Outcome.NONCONFORMANT: "a MUST failed without a waiver",
    Outcome.INCOMPLETE: "no MUST failed, and not every one was evaluated; or only a part of the "
    "profile was selected",
}


def text() -> str:
    """Return the standard as Markdown."""
    standard = spec.load()
    opening = _OPENING.format(version=standard.version, command=COMMAND)
    parts = [f"# The standard\n\n{opening}", _contents()]
    parts += [_section("Words", _table(("word", "means"), GLOSSARY.items())), _verdicts()]
    parts += [_tolerances(standard), _profiles(standard), _closed_forms()]
    parts.append(_requirements(standard))
    return "\n\n".join(parts) + "\n"


def _contents() -> str:
    names = (
        "Words",
        "Verdicts and outcomes",
        "Tolerances",
        "Profiles and capabilities",
        "Closed forms",
    )
    links = [f"- [{name}](#{_anchor(name)})" for name in (*names, "Requirements")]
    topics = [f"  - [{topic}](#{_anchor(topic)})" for topic in _topics()]
    return "\n".join([*links, *topics])


def _verdicts() -> str:
    verdicts = _table(
        ("verdict", "what happened"),
        [(f"`{v.name}`", VERDICTS[v]) for v in sorted(Verdict)],
    )
    outcomes = _table(
        ("outcome", "when", "exit code"),
        [(o.value, OUTCOMES[o], str(EXIT_CODES[o])) for o in Outcome],
    )
    body = (
        "The verdict of a requirement is the last in this order that any of its cases got, so "
        "that a fault of the suite never hides a failure of the candidate, and nothing that was "
        f"not evaluated counts as passed.\n\n{verdicts}\n\nThe outcome of a run is decided by the "
        f"MUSTs alone, and is never told without profile and precision.\n\n{outcomes}"
    )
    return _section("Verdicts and outcomes", body)


def _tolerances(standard: Spec) -> str:
    rules = _table(
        ("judge", "demands", "basis"),
        [(f"`{name}`", rule.demand, rule.basis) for name, rule in TOLERANCES.items()],
    )
    contracts = _table(
        ("contract", "computes in", "`noise_rms`", "`noise_max`", "basis"),
        [
            (
                f"`{c.name}`",
                f"{c.input} in and out, {c.accumulation} inside"
                + (", factors of products with 11 bits" if c.tf32 else ""),
                *("-" if x is None else f"{x:g}" for x in (c.noise_rms, c.noise_max)),
                c.basis,
            )
            for c in standard.contracts.values()
        ],
    )
    terms = _table(
        ("term", "may be claimed as, the strictest first", "meaning"),
        [
            (
                f"`{t.name}`",
                ", ".join(str(v).lower() if isinstance(v, bool) else str(v) for v in t.one_of),
                t.meaning,
            )
            for t in standard.terms.values()
        ],
    )
    body = (
        "No check holds a number of its own: the limit comes from the judge that it calls. Before "
        "anything is judged, an answer has to have the right names, shape and type.\n\n"
        f"{rules}\n\nThe limits in noise units are those of the precision contract that the "
        f"candidate claims:\n\n{contracts}\n\nA candidate may claim terms of its contract "
        "otherwise, and is then judged by them; the report says so beside the outcome, since a "
        f"weaker contract certifies less. What is not claimed is taken at its strictest.\n\n{terms}"
    )
    return _section("Tolerances", body)


def _profiles(standard: Spec) -> str:
    profiles = _table(
        ("profile", "about", "requirements", "precisions", "demands"),
        [
            (
                f"`{p.name}`",
                p.title,
                str(len(p.requirements)),
                ", ".join(p.precisions),
                ", ".join(p.demands),
            )
            for p in standard.profiles.values()
        ],
    )
    capabilities = _table(
        ("capability", "the candidate"), [(f"`{k}`", v) for k, v in standard.capabilities.items()]
    )
    note = (
        "A requirement that needs a capability which is not claimed is not applicable; one that "
        "the profile demands has to be claimed, and fails where it is not."
    )
    body = f"{profiles}\n\n{note}\n\n{capabilities}\n\n{_policies()}\n\n{_facts()}"
    return _section("Profiles and capabilities", body)


def _policies() -> str:
    columns = ("policy", "may be declared as, the standard's own first", "meaning")
    policies = _table(columns, explanation.POLICIES)
    note = (
        "Runtimes choose tokens in different ways, and none of them is wrong. A candidate declares "
        "its own beside its capabilities, and is judged by what it declares; what it declares "
        "nothing of is taken as the standard has it, and a step that it does not have is not "
        "applicable."
    )
    return f"{note}\n\n{policies}"


def _facts() -> str:
    facts = _table(("fact", "declared as", "meaning"), explanation.FACTS)
    return f"A candidate that claims `tokenizer` declares facts and is judged by them.\n\n{facts}"


def _closed_forms() -> str:
    forms = _table(
        ("model", "logits", "shows", "blind to"),
        [(f"`{f.name}`", f.formula, f.sees, f.blind) for f in FORMS.values()],
    )
    body = (
        "Profile `closed-form` is judged on planted models: ordinary weights, arranged so that the "
        "logits are formulas of the token ids. Each is blind by design; together they show what "
        "an implementation has that is wrong, not how precisely it rounds. Nothing but token ids "
        "has to go in and logits (or the tokens that they choose) come out.\n\n"
        f"{forms}"
    )
    return _section("Closed forms", body)


def _requirements(standard: Spec) -> str:
    parts = ["## Requirements"]
    for topic, identifiers in _topics().items():
        parts.append(f"### {topic}")
        parts += [_requirement(standard, standard.requirements[name]) for name in identifiers]
    return "\n\n".join(parts)


def _requirement(standard: Spec, requirement: Requirement) -> str:
    profiles = [p.name for p in standard.profiles.values() if requirement.id in p.requirements]
    lines = [
        f"#### {requirement.id}",
        "",
        f"**{requirement.level.value}.** {requirement.statement}",
        "",
        f"- Source: {requirement.source} (since {requirement.since})",
        f"- Profiles: {', '.join(profiles)}; needs: {explanation.needs(requirement)}",
    ]
    if requirement.operator:
        lines.append(f"- ONNX operator: {_operator(requirement.operator)}")
    lines.append(f"- Oracle: {requirement.oracle.value}: {explanation.ORACLES[requirement.oracle]}")
    if requirement.untestable:
        return "\n".join([*lines, f"- Not testable: {requirement.untestable}"])
    rules = explanation.tolerances(requirement.id)
    lines += [f"- Tolerance (`{judge}`): {rule.demand}" for judge, rule in rules.items()]
    lines += [f"- Basis: {basis}" for basis in dict.fromkeys(r.basis for r in rules.values())]
    checks = [f"`{c.module}.py::{c.name}`" for c in catalogue.deciding(requirement.id)]
    lines.append(f"- Decided by: {', '.join(checks)}")
    smallest = [str(least) for least in proof.noticed(requirement.id)]
    lines.append(f"- Smallest fault noticed: {'; '.join(smallest) or 'not measured yet'}")
    return "\n".join(lines)


def _operator(name: str) -> str:
    """Return an operator such as Attention-23 with a link to its page in the ONNX standard."""
    operator, _, version = name.partition("-")
    page = f"https://onnx.ai/onnx/operators/onnx__{operator}.html"
    return f"[{operator}]({page}), version {version}"


def _topics() -> Mapping[str, tuple[str, ...]]:
    """Return the ids of each topic, by its title, in the order of the standard's files."""
    folder = resources.files(spec) / "requirements"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name)
    documents = [schema.parse(file.read_bytes()) for file in files]
    return {
        _TITLES.get(document["topic"], document["topic"].capitalize()): tuple(
            row["id"] for row in document["requirements"]
        )
        for document in documents
    }


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(FILE)  # noqa: T201  # the command's own output
