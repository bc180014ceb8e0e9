"""What the parts of the JAX adapter share: devices, settings, arrays in and out.

jax is imported inside the functions, so that this module can be imported without it.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import CandidateUnavailable, Unsupported, did_you_mean
from conformance.records import Claims

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

PRECISIONS = {"float32": "fp32", "bfloat16": "bf16"}
"""The precision contract that a ``dtype`` option claims; the default first.

Not float16: jitted for the CPU, ``jax.nn.dot_product_attention`` asks for a product that XLA lacks
there (jax 0.10). Not float64: its softmax is in float32 whatever the type.
"""

_POLICIES: dict[str, str | bool] = {
    "flush_to_zero": True,  # XLA's programs for the CPU run with the processor's flag set
    "query_without_keys": "nan",  # a softmax of minus infinities alone is 0 / 0
}


def claims(capabilities: frozenset[str], dtype: str) -> Claims:
    """Return what JAX can claim in a type.

    Scores stay in float32 (``jax.nn.dot_product_attention``); its weights are rounded to the type,
    and so may be whatever one function hands to the next.
    """
    rounded = ("probability", "intermediate") if dtype != "float32" else ()
    return Claims(capabilities, PRECISIONS[dtype], _POLICIES | dict.fromkeys(rounded, dtype))


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how JAX computes."""

    device: Any
    jit: bool = True
    optimized: bool = True
    """Whether XLA optimises its programs, which for most of them takes longer than they run."""

    def program(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of arrays that is compiled as a whole, for each shape once."""
        import jax  # noqa: PLC0415

        compiled: Callable[..., Any] = jax.jit(
            function, compiler_options=None if self.optimized else _LEAST_OPTIMIZATION
        )
        return compiled

    @contextmanager
    def settings(self) -> Iterator[None]:
        """Set what a computation needs, for this thread and no longer than it takes.

        Products of float32 are products of float32 (no TF32), and Python's numbers do not widen
        anything: 64 bits are off, whatever JAX_ENABLE_X64 says.
        """
        import jax  # noqa: PLC0415

        with ExitStack() as stack:
            stack.enter_context(jax.default_device(self.device))
            stack.enter_context(jax.default_matmul_precision("highest"))
            stack.enter_context(jax.enable_x64(new_val=False))
            stack.enter_context(jax.disable_jit(not self.jit))
            yield


_LEAST_OPTIMIZATION = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}
"""What jax_disable_most_optimizations sets, of JAX's own configuration, for all of a process."""


def device(target: str) -> Any:
    """Return JAX's device ``cpu`` (also for an empty target), ``gpu`` or ``gpu:<n>``.

    Raises:
        CandidateUnavailable: it is none of these, or is not there.
    """
    import jax  # noqa: PLC0415

    kind, colon, index = target.partition(":")
    kind = kind or "cpu"
    if kind not in _KINDS or (colon and not (kind == "gpu" and index.isdecimal())):
        raise CandidateUnavailable(
            f"unknown device {target!r}.{did_you_mean(kind, _KINDS)} A second GPU is written gpu:1"
        )
    try:
        found = jax.devices(kind)
    except RuntimeError as error:
        raise CandidateUnavailable(f"target {target or kind!r}: {error}. {_HELP[kind]}") from error
    if int(index or 0) >= len(found):
        raise CandidateUnavailable(
            f"target {target!r}: JAX finds {len(found)} GPUs, the first of them gpu:0"
        )
    return found[int(index or 0)]


_HELP = {
    "cpu": "JAX_PLATFORMS leaves out the CPU; add cpu to it, or unset it",
    "gpu": "Install JAX for the GPU, such as pip install 'jax[cuda13]', see what JAX_PLATFORMS "
    "leaves out, or test the target cpu",
}
_KINDS = tuple(_HELP)


def device_name(where: Any) -> str:
    """Return the device as a report names it."""
    return str(where.device_kind)


def numpy() -> Any:
    """Return ``jax.numpy``."""
    from jax import numpy as module  # noqa: PLC0415

    return module


def nn() -> Any:
    """Return ``jax.nn``."""
    from jax import nn as module  # noqa: PLC0415

    return module


def lax() -> Any:
    """Return ``jax.lax``."""
    from jax import lax as module  # noqa: PLC0415

    return module


def readable(array: Array) -> Array:
    """Return an array in a type that JAX has without its 64-bit mode: integers as int32.

    Raises:
        Unsupported: numbers have 64 bits, or an integer does not fit.
    """
    if array.dtype == np.float64:
        raise Unsupported("JAX computes in float64 only where jax_enable_x64 is set")
    if array.dtype != np.int64:
        return array
    limits = np.iinfo(np.int32)
    if array.size and not limits.min <= array.min() <= array.max() <= limits.max:
        raise Unsupported("JAX has integers of 32 bits, and one here is larger")
    return array.astype(np.int32)


def to_array(array: Any) -> Array:
    """Return one of JAX's arrays as NumPy's, of the same type and read-only."""
    return np.asarray(array)
