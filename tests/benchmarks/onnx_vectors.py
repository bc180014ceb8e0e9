"""Who is right where ONNX Runtime and the ONNX package's backend vectors disagree?

    python tests/benchmarks/onnx_vectors.py

Writes `reports/onnx-vectors.md`: every vector of the operators that the oracle knows is reproduced
by the oracle, then run on ONNX Runtime, and each answer is held against the oracle's bound. The
document is the same for the same versions.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from node_vectors import FAULTY, UNKNOWN
from runtime_vectors import (  # found by the line above
    NO_KERNEL,
    OK,
    RUNTIME,
    TOLERANCE,
    compared,
    rounded_once_is_refused,
)

DOCUMENT = Path(__file__).parents[2] / "reports" / "onnx-vectors.md"

REASONS = {
    "qk_matmul_bias": "With a mask and `is_causal`, keys that the triangle hides stand in "
    "`qk_matmul_output` (mode 2) as the lowest finite number, -3.4e38. The standard adds minus "
    "infinity. The runtime itself answers minus infinity where it runs the operator's function "
    "body. Y is right.",
    "padded_kv": "A mask of 4 keys where there are 6 is refused. The standard continues a shorter "
    "mask with minus infinity (input `attn_mask`), and the runtime does so itself where it runs "
    "the function body.",
    "bf16": "The CPU provider has no bfloat16 kernel for the operator, nor for the {node} that its "
    "function body needs. The answer of the vector is right.",
    "causal_fp16": "Both answers lie within the rounding of float16, {difference:.1f} roundings "
    "apart. The tolerance, 1e-3 of the value, is two.",
}
"""Why a vector is not ok, by a part of its name; looked up in this order."""


def reason(row) -> str:
    name = row.vector.name
    if row.at_fault == NO_KERNEL:
        node = row.refusal.partition("implementation for ")[2].partition(" node")[0]
        return REASONS["bf16"].format(node=node)
    found = next(text for part, text in REASONS.items() if part in name)
    return found.format(difference=row.difference)


def not_ok():
    return [row for row in compared() if row.at_fault != OK]


def _figure(rho: float) -> str:
    return "refused" if np.isnan(rho) else f"{rho:.2f}"


def by_operator() -> str:
    rows = compared()
    names = sorted({row.vector.call.operator for row in rows})
    counts = {
        key: Counter(row.vector.call.operator for row in rows if test(row))
        for key, test in {
            "plain": lambda row: not row.vector.expanded,
            "expanded": lambda row: row.vector.expanded,
            "reproduced": lambda row: row.vector_rho <= 1,
            "ok": lambda row: row.at_fault == OK,
            "rest": lambda row: row.at_fault != OK,
        }.items()
    }
    heads = ("operator", "vectors", "expanded", "reproduced", "ok", "not ok")
    table = [[name, *(count[name] for count in counts.values())] for name in names]
    total = ["all", *(sum(count.values()) for count in counts.values())]
    return tabulate([*table, total], heads, "github")


def disagreements() -> str:
    heads = ("vector", "vector's error", "runtime's error", "wrong", "why")
    table = [
        (
            f"`{row.vector.name}`",
            _figure(row.vector_rho),
            _figure(row.runtime_rho),
            row.at_fault,
            reason(row),
        )
        for row in not_ok()
    ]
    return tabulate(table, heads, "github", disable_numparse=True)


def refused_truths() -> str:
    plain = [row.vector for row in compared() if not row.vector.expanded]
    return "\n".join(f"- `{v.name}`" for v in plain if rounded_once_is_refused(v))


def _listed(what: str, reasons: dict[str, str]) -> str:
    told = "".join(f"\n- `{name}`: {why}" for name, why in reasons.items())
    return f"{len(reasons)} vectors {what}{':' if told else '.'}{told}"


def document() -> str:
    wrong = Counter(row.at_fault for row in not_ok())
    return f"""# The ONNX backend vectors: who is right?

Written by `python tests/benchmarks/onnx_vectors.py`; do not edit. onnx {onnx.__version__}, \
onnxruntime {onnxruntime.__version__} (CPU), numpy {np.__version__}.

The onnx package ships node vectors: inputs, and the answers of its reference evaluator. An error \
is given in bounds of the suite's oracle, which computes in fp64 and derives the bound from the \
precision that is claimed: at most 1 is rounding. The evaluator is taken at its loosest, with \
every step rounded to the tensors' type, ONNX Runtime at what its adapter claims. `expanded` \
vectors are the same calls with the operator's function body as the graph.

## By operator

{by_operator()}

{_listed("are unknown to the oracle", UNKNOWN)} {_listed("are at fault", FAULTY)}

## Not ok on ONNX Runtime

{sum(wrong.values())} vectors: the runtime is wrong in {wrong[RUNTIME]}, has no kernel in \
{wrong[NO_KERNEL]}, and in {wrong[TOLERANCE]} it is right and so is the vector, but the package's \
tolerance is finer than the type.

{disagreements()}

## Vectors that refuse the right answer

The package compares with a relative tolerance of 1e-3 and an absolute one of 1e-7 unless the \
vector says otherwise. The exact answer, rounded once to the type, is not accepted by

{refused_truths()}

A runtime that computes in float32 and rounds once can fail these for being more accurate than the \
evaluator.
"""


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT}\n")
