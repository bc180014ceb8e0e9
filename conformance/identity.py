"""What this suite is and where it runs: versions and digests for the record."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path

import conformance
from conformance import spec

_LIBRARIES = ("numpy", "hypothesis", "pytest", "torch", "onnx", "onnxruntime", "transformers")
_CODE = {".py", ".json", ".ini"}


@functools.cache
def digest_of(package: str) -> str:
    """Return the SHA-256 of a package's installed files: ``conformance``, ``reference_model``.

    Read from the folder beside this one, so that nothing has to be imported for it.
    """
    root = Path(__file__).resolve().parent.parent / package
    total = hashlib.sha256()
    for file in sorted(f for f in root.rglob("*") if f.suffix in _CODE):
        name = file.relative_to(root).as_posix()
        total.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def suite() -> dict[str, str]:
    """Return the suite's own version and digest, and the standard's."""
    standard = spec.load()
    parts = digest_of("conformance") + digest_of("reference_model")
    return {
        "version": conformance.__version__,
        "spec": standard.version,
        "spec_digest": standard.digest,
        "digest": hashlib.sha256(parts.encode()).hexdigest(),
    }


def environment() -> dict[str, str]:
    """Return the machine, the operating system and the versions of the libraries in use."""
    found = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
    }
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = "not installed"
    return found


def threads() -> str:
    """Return how many threads a runtime of this process may use, as the environment has it."""
    return os.environ.get("OMP_NUM_THREADS") or "not limited"


def _processor() -> str:
    """Return the processor's name; the standard library knows it on some systems only."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
