"""How far honest runtimes and known faults are from fp64, and what the matched filter makes of it.

    python tests/benchmarks/noise_units.py

Writes `reports/noise-units.md`, for the runtimes that are installed. Two tables: the size of an
error in noise units, where honest and faulty are apart at fp32, and the strength of a fault, where
they are apart in bfloat16 too, below the rounding noise. A measurement, not a test: it asserts
nothing. Letters: B batch, T tokens, N judged tokens, V vocabulary.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
from tabulate import tabulate

from conformance import models, spec
from conformance.candidate import open_candidate
from conformance.errors import CandidateUnavailable
from conformance.matrix import HONEST
from conformance.oracles import ensemble
from conformance.oracles.matched_filter import SURE, honest_interval, strength

DOCUMENT = Path(__file__).parents[2] / "reports" / "noise-units.md"
MODEL = "llama-gqa"
CONTRACTS = spec.load().contracts
TYPES = {"fp32": "float32", "bf16": "bfloat16"}
CHANGED = {
    "RoPE base 10001": {"rope_theta": 10001.0},
    "RoPE base 10010": {"rope_theta": 10010.0},
    "RoPE base 10100": {"rope_theta": 10100.0},
    "RMSNorm eps 1e-6": {"rms_norm_eps": 1e-6},
}
"""Faults that are another number in `config.json`; the weights stay what they are."""
MASK = "causal-mask-off-by-one"
"""The fault that is none of the configuration's: a mutant."""
SILENT = ("pytorch?dtype=bfloat16", "openvino?precision=default")
"""Computed in bfloat16 where fp32 is claimed."""
TIMES = 7
"""How many times the frozen corpus is repeated, with other tokens, for the matched filter: what a
run does for faults that it cannot tell at once."""
VERSIONS = ("torch", "onnxruntime", "openvino", "transformers", "numpy")


def changed(keys, folder):
    """Return the model with some keys of its configuration changed."""
    original = models.suite_package(MODEL)
    shutil.copytree(original.path, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= keys
    if "rope_theta" in keys:
        config["rope_parameters"] |= keys
    (folder / "config.json").write_text(json.dumps(config))
    return models.open_package(folder, MODEL)


class Bench:
    """One model at one precision: the exact answer to a corpus, and faulty ones."""

    def __init__(self, precision, packages, times=1):
        self.contract, self.packages = CONTRACTS[precision], packages
        self.own = models.suite_package(MODEL)
        self.corpus = models.frozen_corpus(self.own, times=times)
        self.truth = models.oracle(self.own, self.contract)
        self.exact_NV = self.judged(self.truth.logits(*self.corpus.inputs))

    def judged(self, logits_BTV):
        return np.asarray(logits_BTV)[self.corpus.judged_BT].astype(np.float64)

    def residual(self, candidate, package=None):
        """Return a candidate's error (N, V); None where its runtime is not installed."""
        try:
            with open_candidate(candidate) as opened:
                logits_BTV = opened.load(package or self.own).logits(*self.corpus.inputs)
        except CandidateUnavailable:
            return None
        return self.judged(logits_BTV) - self.exact_NV

    def faulty(self):
        """Yield each fault's name, the candidate that has it, and its package."""
        dtype = TYPES[self.contract.name]
        for name, package in self.packages.items():
            yield name, f"pytorch?dtype={dtype}", package
        yield "causal mask off by one", f"mutant:{MASK}?dtype={dtype}", self.own

    def directions(self):
        """Yield what each fault does to the exact logits, (N, V)."""
        for package in self.packages.values():
            faulty = models.oracle(package, self.contract).logits(*self.corpus.inputs)
            yield self.judged(faulty) - self.exact_NV
        rounded = models.rounded(self.own, self.contract.weight)
        yield self.residual(f"mutant:{MASK}?dtype=float64", rounded)


def rms(error_NV):
    return float(np.sqrt(np.mean(np.square(error_NV))))


def sizes(packages):
    """Return the table of errors in noise units."""
    rows = []
    for precision in TYPES:
        bench = Bench(precision, packages)
        unit = models.noise(bench.own, bench.contract).unit
        honest = [(name, name, None) for name in HONEST[precision] if name != "mutant"]
        silent = [(f"{name}, claimed fp32", name, None) for name in SILENT]
        faulty = [*bench.faulty(), *(silent if precision == "fp32" else ())]
        for kind, named in (("honest", honest), ("fault", faulty)):
            for name, candidate, package in named:
                error_NV = bench.residual(candidate, package)
                if error_NV is not None:
                    largest = float(np.abs(error_NV).max()) / unit.max
                    rows.append(
                        (
                            precision,
                            kind,
                            f"`{name}`" if kind == "honest" else name,
                            f"{rms(error_NV) / unit.rms:.3g}",
                            f"{largest:.3g}",
                        )
                    )
    heads = ("precision", "kind", "candidate", "RMS", "largest error")
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True), _between(rows)


def _between(rows):
    """Return in words where the limit stands between the honest and the faulty."""
    told = []
    for precision in TYPES:
        found = {
            kind: [float(row[3]) for row in rows if row[:2] == (precision, kind)]
            for kind in ("honest", "fault")
        }
        told.append(
            f"At {precision} the limit is {CONTRACTS[precision].noise_rms:g} units (RMS); honest "
            f"candidates reach {max(found['honest']):.3g}, the smallest fault "
            f"{min(found['fault']):.3g}."
        )
    return " ".join(told)


def strengths(packages):
    """Return the table of how much of a fault its own carrier and an honest candidate have."""
    rows, tokens = [], 0
    for precision, dtype in TYPES.items():
        bench = Bench(precision, packages, TIMES)
        unit = models.noise(bench.own, bench.contract).unit
        members = [
            bench.judged(member.logits(*bench.corpus.inputs)) - bench.exact_NV
            for member, _ in ensemble.honest_members(bench.truth, bench.contract)
        ]
        honest_NV = bench.residual(f"pytorch?dtype={dtype}")
        named = zip(bench.faulty(), bench.directions(), strict=True)
        for (name, candidate, package), direction_NV in named:
            residual_NV = bench.residual(candidate, package)
            found, clean = strength(residual_NV, direction_NV), strength(honest_NV, direction_NV)
            among = honest_interval([strength(one, direction_NV) for one in members])
            tokens = found.tokens
            rows.append(
                (
                    precision,
                    name,
                    f"{rms(residual_NV) / unit.rms:.3g}",
                    f"{found.value:.3f} ± {SURE * found.error:.2g}",
                    f"{found.z:.3g}",
                    f"{clean.value:.2g}, z {clean.z:.2g}",
                    f"{among.low:.2g} to {among.high:.2g}",
                    "yes" if among.clear_of(found) else "no",
                )
            )
    heads = (
        "precision",
        "fault",
        "noise units",
        "β of its carrier",
        "z",
        "β of honest PyTorch",
        "β of honest ensemble",
        "told apart",
    )
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True), tokens


def document():
    versions = ", ".join(f"{name} {_version(name)}" for name in VERSIONS)
    with tempfile.TemporaryDirectory() as folder:
        packages = {
            name: changed(keys, Path(folder) / str(i))
            for i, (name, keys) in enumerate(CHANGED.items())
        }
        (told, between), (apart, tokens) = sizes(packages), strengths(packages)
    return f"""# Noise units

Written by `python tests/benchmarks/noise_units.py`; do not edit. {versions}; \
{platform.machine()}. \
Model `{MODEL}` (RoPE base 10000, RMSNorm eps 1e-5, a causal mask).

## The size of an error

The unit is the error that honest implementations make anyhow: the median of the ensemble, RMS and \
largest, on the frozen corpus. {between} A fault below the noise is seen by no limit on the size \
of an error.

{told}

## The strength of a fault

Its direction is known, though. β is the share of the fault that the error of a candidate holds (0 \
none, 1 all of it; ± {SURE:g} standard errors, from token to token), z how surely it is not 0. An \
honest candidate has a little of many faults, since rounding is not perfectly unbiased; a fault is \
told apart where its carrier's interval is clear of that of the honest ensemble. {tokens} tokens.

{apart}
"""


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "is not installed"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT}\n")
