"""What it takes to judge a release of a billion parameters: memory and time, on two cores.

    python tests/benchmarks/large_release.py [CANDIDATE] [--small]

Writes the release (bfloat16, seeded, 2.5 GB) into a temporary folder, runs `llm-conformance run
--model` on it with profile `release-large`, and samples the memory of its processes. Printed are
the wall time, the processor's time, which other programs do not lengthen much, the largest sum of
their resident sets, of which pages of mapped files can be taken back at any time, the largest sum
of what is their own, and how busy the machine was. The candidate is Transformers in float32 by
default; its own share is what it holds by itself, loaded and asked in another process. A
measurement, not a test: it asserts nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import large_release

PERIOD_S = 0.25
ALONE = """
import sys
from conformance import models
from conformance.candidate import open_candidate
package = models.open_package(sys.argv[2])
with open_candidate(sys.argv[1]) as candidate:
    model = candidate.load(package)
    for name in ("near", "long"):
        model.logits(*models.corpus_named(name, package).inputs)
    if "hidden_states" in candidate.info.claims.capabilities:
        model.hidden_states(*models.frozen_corpus(package).inputs)
"""


def tree(root):
    """Return the ids of a process and of all that it has started."""
    found = [root]
    for process in found:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def resident(process):
    """Return resident bytes of a process: all, and those that are its own (not of a file)."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0, 0
    rows = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    kib = [int(rows.get(key, "0 kB").split()[0]) for key in ("VmRSS", "RssAnon")]
    return kib[0] * 1024, kib[1] * 1024


def processor():
    """Return the processor's seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(command, environment):
    """Run a command; return seconds, those of the processor, both peaks, and what it printed."""
    peaks, over = [0, 0], threading.Event()
    start, before = time.monotonic(), processor()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(
            command, env=environment, stdout=printed, stderr=subprocess.STDOUT, text=True
        )

        def watch():
            while not over.wait(PERIOD_S):
                sums = [sum(sizes) for sizes in zip(*map(resident, tree(process.pid)), strict=True)]
                peaks[:] = map(max, peaks, sums)

        watcher = threading.Thread(target=watch)
        watcher.start()
        process.wait()
        over.set()
        watcher.join()
        printed.seek(0)
        return time.monotonic() - start, processor() - before, *peaks, printed.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("candidate", nargs="?", default="transformers?dtype=float32")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder for the release, kept")
    options = parser.parse_args()
    shape = large_release.SMALL if options.small else large_release.BILLION
    with tempfile.TemporaryDirectory() as place:
        folder = options.keep or Path(place) / "release"
        if not folder.is_dir():
            large_release.write(folder, shape)
        environment = {**os.environ, "LLM_CONFORMANCE_CACHE": f"{place}/cache"}
        out = ["--out", f"{place}/run"]
        words = ["--candidate", options.candidate, "--model", str(folder), *out]
        run = [sys.executable, "-m", "conformance", "run", "--profile", "release-large", *words]
        alone = [sys.executable, "-c", ALONE, options.candidate, str(folder)]
        print(f"{shape.parameters:.3g} parameters, {options.candidate}")
        for name, command in (("the run", run), ("the candidate alone", alone)):
            before = os.getloadavg()[0]
            seconds, computed, total, own, printed = measured(command, environment)
            load = f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after"
            sizes = f"{total / 1e9:.2f} GB resident, {own / 1e9:.2f} GB of its own"
            times = f"{seconds:.0f} s, {computed:.0f} s of the processor"
            print(f"{name}: {times}, {sizes} ({load}; {os.cpu_count()} cores)")
            print("\n".join(f"    {line}" for line in printed.splitlines()[-40:]))


if __name__ == "__main__":
    main()
