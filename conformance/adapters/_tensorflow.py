"""What the adapter of TensorFlow and its operators share: import, devices, modes, tensors.

TensorFlow is imported inside the functions, so that this module can be imported without it. What it
keeps for a whole process is left as the user has it, but for this: while a candidate is open TF32
is off and its log tells errors alone (but for a line about oneDNN, which no level stops), and it
takes GPU memory as it needs it and not all at once. Its threads are its own. It flushes subnormal
numbers to zero in each kernel and only there: NumPy and other runtimes in the process keep theirs.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.candidate import not_importable
from conformance.errors import CandidateUnavailable, Unsupported, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

MODES = {
    "function": "tf.function",
    "eager": "eager",
    "xla": "tf.function compiled by XLA",
}
"""How TensorFlow runs a function, and what a report calls it; the default first."""
_QUIET = "2"
"""The level of TensorFlow's log in C++ from which errors alone are printed."""
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
"""The variable that decides, when TensorFlow is imported, by whose kernels an x86 computes."""


def tf() -> Any:
    """Return the module ``tensorflow``."""
    import tensorflow as module  # noqa: ICN001, PLC0415  # the function has the usual name

    return module


def import_tensorflow() -> Any:
    """Import TensorFlow, its log in C++ quiet unless the user has set a level.

    Raises:
        CandidateUnavailable: it is not installed, or is and cannot be imported.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _QUIET)  # read once, by the first import
    try:
        return tf()
    except ImportError as error:
        install = "pip install 'llm-conformance[tensorflow]'"
        raise not_importable("tensorflow", install, error) from error


def device(target: str) -> Any:
    """Return the device ``cpu`` (also for an empty target), ``gpu`` or ``gpu:<n>``.

    Raises:
        CandidateUnavailable: it is none of these, or is not there.
    """
    kind, colon, index = target.partition(":")
    if target in ("", "cpu"):
        return tf().config.list_logical_devices("CPU")[0]
    if kind != "gpu" or (colon and not index.isdecimal()):
        raise CandidateUnavailable(
            f"unknown device {target!r}.{did_you_mean(kind, ['cpu', 'gpu'])} A second GPU is "
            "written gpu:1"
        )
    found = tf().config.list_logical_devices("GPU")
    if not found:
        raise CandidateUnavailable(f"target {target!r}: {_without_gpu()}")
    if int(index or 0) >= len(found):
        raise CandidateUnavailable(
            f"target {target!r}: TensorFlow finds {len(found)} GPUs, the first of them gpu:0"
        )
    return found[int(index or 0)]


def _without_gpu() -> str:
    """Return why TensorFlow has no GPU, and what to do about it."""
    if not tf().test.is_built_with_cuda():
        return (
            f"tensorflow {tf().__version__} is built without CUDA; install a build with it (pip "
            "install 'tensorflow[and-cuda]'), or test the target cpu"
        )
    return (
        "TensorFlow finds no GPU; see what nvidia-smi lists and CUDA_VISIBLE_DEVICES hides, or "
        "test the target cpu"
    )


def device_name(where: Any) -> str:
    """Return the device as a report names it."""
    if where.device_type == "CPU":
        return "cpu"
    index = int(where.name.rpartition(":")[2])
    details = tf().config.experimental.get_device_details(
        tf().config.list_physical_devices("GPU")[index]
    )
    return str(details.get("device_name", where.name))


def runtime(mode: str) -> str:
    """Return the runtime as a report names it, with the user's word on oneDNN if there is one."""
    parts = [f"tensorflow {tf().__version__}", MODES[mode]]
    if _ONEDNN in os.environ:
        parts.append(f"{_ONEDNN}={os.environ[_ONEDNN]}")
    return ", ".join(parts)


@contextmanager
def as_claimed() -> Iterator[None]:
    """Let float32 products be float32 products, quietly; settings come back at the end.

    How GPU memory is taken cannot be changed any more once TensorFlow has started a GPU.
    """
    config, log = tf().config, logging.getLogger("tensorflow")
    narrow, level = config.experimental.tensor_float_32_execution_enabled(), log.level
    for gpu in config.list_physical_devices("GPU"):
        try:
            config.experimental.set_memory_growth(gpu, enable=True)
        except RuntimeError:
            break
    config.experimental.enable_tensor_float_32_execution(enabled=False)
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        config.experimental.enable_tensor_float_32_execution(narrow)


def in_mode(mode: str, function: Callable[..., Any], signature: Sequence[Any]) -> Any:
    """Return a function as TensorFlow runs it in a mode.

    Args:
        mode: one of ``MODES``.
        function: takes tensors, or dictionaries and tuples of them, and returns such.
        signature: its arguments, each tensor as :func:`free` has it.
    """
    if mode == "eager":
        return function
    return tf().function(
        function, input_signature=signature, autograph=False, jit_compile=mode == "xla"
    )


def free(dtype: Any, *sizes: int | None) -> Any:
    """Return the specification of a tensor whose sizes are free where None, so that one trace does.

    XLA compiles for each set of sizes all the same.
    """
    return tf().TensorSpec(sizes, dtype)


def to_tensor(array: Array) -> Any:
    """Return an array as a tensor of the same type, on the device of the context.

    Raises:
        Unsupported: TensorFlow has no such type.
    """
    try:
        return tf().convert_to_tensor(array)
    except (TypeError, ValueError) as error:
        raise Unsupported(f"TensorFlow reads no NumPy array of {array.dtype}") from error


def to_array(tensor: Any) -> Array:
    """Return a tensor as an array of the same type."""
    return np.asarray(tensor.numpy())  # which has a scalar for no dimensions


def wide(x: Any) -> Any:
    """Return a tensor in float32 at least."""
    return tf().cast(x, tf().float32) if x.dtype.size < 4 else x  # bytes of a float32
