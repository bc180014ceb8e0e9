"""Kernel, function body and evaluator of each operator of our exports, against the oracle.

    python tests/benchmarks/onnx_audit.py

Writes `reports/onnx-audit.md`. Takes some minutes. The document is the same for the same versions.
"""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import onnx_exact
from onnx_findings import FINDINGS
from onnx_ways import (  # found by the line above
    BODY,
    EVALUATOR_BODY,
    KERNEL,
    WAYS,
    Error,
    answer,
    calls,
    error_of,
    has_body,
    has_kernel,
    type_of,
)

from conformance import models
from conformance.oracles.standard import OPERATORS
from reference_model.builds import OPSETS, Build

DOCUMENT = Path(__file__).parents[2] / "reports" / "onnx-audit.md"
TYPES = ("float32", "float16", "bfloat16", "float64")
MODEL = "llama-mqa-tied"
"""The smallest of the suite's models; all of them have the same operators."""


OLD = ("Attention", 23)


@dataclass
class Row:
    """One operator in one type, in one way."""

    asked: int = 0
    refused: int = 0
    refusal: str = ""
    worst: Error | None = None
    call: object = None
    requirement: str = ""

    def add(self, call, requirement, compute):
        self.asked += 1
        try:
            error = compute()
        except Exception as raised:  # noqa: BLE001  # two products' own exceptions
            self.refused += 1
            self.refusal = self.refusal or _one_line(raised)
            return
        if self.worst is None or error.bounds > self.worst.bounds:
            self.worst, self.call, self.requirement = error, call, requirement

    @property
    def figure(self):
        if self.worst is None:
            return "no kernel" if "NOT_IMPLEMENTED" in self.refusal else "refused"
        size = "inf" if np.isinf(self.worst.bounds) else f"{self.worst.bounds:.2g}"
        return f"{size}, {self.refused} refused" if self.refused else size

    @property
    def bad(self):
        off = self.worst is not None and not self.worst.bounds <= 1
        return off or (self.refused > 0 and "NOT_IMPLEMENTED" not in self.refusal)


def _one_line(raised):
    text = " ".join(f"{type(raised).__name__}: {raised}".split())
    return text[:200]


def ways_of(call, dtype):
    """Return the ways that there are; without a kernel, ONNX Runtime itself takes the body."""
    body = has_body(call)
    kernel = not body or has_kernel(call, dtype)
    return [
        way
        for way in WAYS
        if (way != KERNEL or kernel) and (way not in (BODY, EVALUATOR_BODY) or body)
    ]


def audit():
    """Return the rows by operator, opset, type and way; a process for each type."""
    with ProcessPoolExecutor(len(TYPES)) as pool:
        return {key: row for rows in pool.map(audit_type, TYPES) for key, row in rows.items()}


def audit_type(dtype):
    warnings.simplefilter("ignore")  # the evaluator overflows on purpose
    rows = defaultdict(Row)
    for asked in calls(dtype):
        if type_of(asked.call) == dtype or (dtype == "float32" and not type_of(asked.call)):
            for call in versions(asked.call):
                _measure(rows, call, asked.requirement, dtype)
    for case in onnx_exact.cases(dtype):
        for way in ways_of(case.call, dtype):
            key = case.call.operator, case.call.opset, dtype, way
            rows[key].add(case.call, "", lambda case=case, way=way: _exact(case, way))
    return dict(rows)


def versions(call):
    """Return a call of Attention-23 as one of 24 too, which newer exports make."""
    newer = [dataclasses.replace(call, opset=24)] if (call.operator, call.opset) == OLD else []
    return [call, *newer]


def _measure(rows, call, requirement, dtype):
    for way in ways_of(call, dtype):
        row = rows[call.operator, call.opset, dtype, way]
        row.add(call, requirement, lambda way=way: error_of(call, way, dtype))


def _exact(case, way):
    (name,) = case.call.outputs
    found = answer(case.call, way)[name]
    off = onnx_exact.roundings_off(found, case)
    place = np.unravel_index(np.argmax(off), off.shape)
    bounds = off[place] / case.roundings if case.roundings else np.where(off[place] == 0, 0, np.inf)
    if off.shape != found.shape:
        return Error(np.inf, f"{name}: {found.dtype} {found.shape}", (), np.nan, np.nan)
    numbers = float(found[place]), float(case.right[place])
    return Error(float(bounds), name, tuple(map(int, place)), *numbers)


def used():
    """Return the opsets of the builds that use each operator, by name."""
    package, found = models.suite_package(MODEL), defaultdict(set)
    for opset in OPSETS:
        for dtype in ("float32", "float16"):  # bfloat16 has the nodes of float16
            for node in onnx.load(package.file(Build(opset, dtype).file)).graph.node:
                found[node.op_type].add(opset)
    return found


def table(rows, keep):
    lines = []
    for name, opset, dtype in dict.fromkeys(key[:3] for key in rows):
        if not keep(name):
            continue
        here = [rows.get((name, opset, dtype, way)) for way in WAYS]
        asked = max(row.asked for row in here if row)
        figures = [row.figure if row else "-" for row in here]
        lines.append((f"{name}-{opset}", dtype, asked, *figures))
    heads = ("operator", "type", "calls", *WAYS)
    return tabulate(sorted(lines, key=_order), heads, "github", disable_numparse=True)


def _order(line):
    return line[0], TYPES.index(line[1])


def evidence(key, row):
    name, opset, dtype, way = key
    where = f"{name}-{opset}, {dtype}, {way}"
    if row.worst is None or row.worst.bounds <= 1:
        return f"{where}: {row.refused} of {row.asked} calls refused: `{row.refusal}`"
    given = ", ".join(f"{n} {list(x.shape)}" for n, x in row.call.inputs.items())
    attributes = ", ".join(f"{n}={v}" for n, v in row.call.attributes.items()) or "no attributes"
    asked = f" ({row.requirement})" if row.requirement else ""
    error, at = row.worst, list(row.worst.place)
    told = not (np.isnan(error.observed) and np.isnan(error.wanted))
    numbers = f": {error.observed:.9g} for {error.wanted:.9g}" if told else ""
    size = "a special value or a form" if np.isinf(error.bounds) else f"{error.bounds:.2g} bounds"
    return f"{where}: {size} at {error.output}{at}{numbers}; {given}; {attributes}{asked}"


def findings(rows):
    """Return the findings, each with its evidence; what no finding explains comes last."""
    bad = {key: row for key, row in rows.items() if row.bad}
    told, left = [], dict(bad)
    for number, finding in enumerate(FINDINGS, 1):
        mine = {key: left.pop(key) for key in list(left) if finding.covers(*key)}
        assert mine, f"no evidence any more: {finding.sentence}"
        lines = "\n".join(f"- {evidence(key, row)}" for key, row in sorted(mine.items()))
        told.append(f"### {number}. {finding.title}\n\n{finding.sentence}\n\n{lines}\n")
    if left:
        lines = "\n".join(f"- {evidence(key, row)}" for key, row in sorted(left.items()))
        told.append(f"### Not explained\n\n{lines}\n")
    return "\n".join(told)


def document() -> str:
    rows, builds = audit(), used()
    names = {key[0] for key in rows}
    missing = sorted(set(builds) - names)
    exports = [
        (name, ", ".join(map(str, sorted(opsets))), "yes" if name in OPERATORS else "exact")
        for name, opsets in sorted(builds.items())
    ]
    taken = tabulate(exports, ("operator", "builds at opset", "oracle"), "github")
    counts = Counter(key[3] for key, row in rows.items() if row.bad)
    return f"""# ONNX in three ways: kernel, function body, evaluator

Written by `python tests/benchmarks/onnx_audit.py`; do not edit. onnx {onnx.__version__}, \
onnxruntime {onnxruntime.__version__} (CPU), numpy {np.__version__}.

Each operator of the suite's exports, and the other standard operators that it judges, is computed \
by ONNX Runtime's kernel (a graph of one node, not optimised), by the standard's function body in \
its place, in ONNX Runtime and in the reference evaluator, and by the evaluator itself. An error \
is given in bounds of the suite's oracle, which computes in fp64: at most 1 is rounding, `inf` a \
special value, a shape or a type that differs. A kernel is held to what the adapter claims for its \
type; bodies and the evaluator are taken at their loosest, with every step rounded to the tensors' \
type. The calls are those that the suite's checks make, kill inputs included. Operators that move \
numbers have to be exact, sums, products, quotients and roots correctly rounded, on every pair of \
special numbers; sine and cosine may be off by {onnx_exact.TWO_ULP} roundings. `-`: there is no \
such way.

## What the exports use

{taken}

{"Not audited: " + ", ".join(missing) if missing else "All of them are audited."}

## Operators with an oracle

{table(rows, lambda name: name in OPERATORS)}

## Operators with one right answer

{table(rows, lambda name: name not in OPERATORS)}

## Findings

{sum(counts.values())} of {len(rows)} rows of a way are out of bounds or refuse calls.

{findings(rows)}"""


if __name__ == "__main__":
    DOCUMENT.write_text(document().rstrip("\n") + "\n", encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT}\n")
