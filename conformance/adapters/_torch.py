"""What the adapters of PyTorch and of Transformers share: devices, types, tensors.

torch is imported inside the functions, so that this module can be imported without it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ml_dtypes

from conformance.errors import CandidateUnavailable, Unsupported, did_you_mean
from conformance.records import Claims

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

PRECISIONS = {"float32": "fp32", "float64": "fp64", "float16": "fp16", "bfloat16": "bf16"}
"""The precision contract that a ``dtype`` option claims; the default first."""


def claims(capabilities: frozenset[str], dtype: str) -> Claims:
    """Return what code that calls one torch function after the other can claim in a type.

    Each function computes wide and rounds its result to the type, scores and attention weights
    included.
    """
    narrow = {} if dtype in ("float32", "float64") else dict.fromkeys(_ROUNDED, dtype)
    return Claims(capabilities, PRECISIONS[dtype], narrow)


_ROUNDED = ("score", "probability", "intermediate")


def device(target: str) -> Any:
    """Return the torch device ``cpu`` (also for an empty target), ``cuda`` or ``cuda:<n>``.

    Raises:
        CandidateUnavailable: it is none of these, or is not there.
    """
    import torch  # noqa: PLC0415

    kind, colon, index = target.partition(":")
    if target in ("", "cpu"):
        return torch.device("cpu")
    if kind != "cuda" or (colon and not index.isdecimal()):
        raise CandidateUnavailable(
            f"unknown device {target!r}.{did_you_mean(kind, ['cpu', 'cuda'])} A second GPU is "
            "written cuda:1"
        )
    if not torch.cuda.is_available():
        raise CandidateUnavailable(f"target {target!r}: {_without_cuda()}")
    if int(index or 0) >= torch.cuda.device_count():
        raise CandidateUnavailable(
            f"target {target!r}: there are {torch.cuda.device_count()} CUDA devices, the first "
            "of them cuda:0"
        )
    return torch.device(target)


def _without_cuda() -> str:
    """Return why torch has no CUDA device, and what to do about it."""
    import torch  # noqa: PLC0415

    if torch.version.cuda is None:
        return (
            f"torch {torch.__version__} is built without CUDA; install a build with it (see "
            "pytorch.org), or test the target cpu"
        )
    return (
        "torch finds no CUDA device; see what nvidia-smi lists and CUDA_VISIBLE_DEVICES hides, or "
        "test the target cpu"
    )


def device_name(where: Any) -> str:
    """Return the device as a report names it."""
    import torch  # noqa: PLC0415

    return torch.cuda.get_device_name(where) if where.type == "cuda" else str(where)


@contextmanager
def as_claimed() -> Iterator[None]:
    """Let float32 products be float32 products: no TF32; torch's settings come back at the end."""
    import torch  # noqa: PLC0415

    products = torch.get_float32_matmul_precision()
    convolutions = torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


def functional() -> Any:
    """Return ``torch.nn.functional``."""
    from torch.nn import functional as module  # noqa: PLC0415

    return module


def to_tensor(array: Array, where: Any) -> Any:
    """Return an array as a tensor of the same type, in the array's own memory on a CPU.

    So torch meets the strides that the check made; it reads no ml_dtypes and no negative strides.

    Raises:
        Unsupported: torch has no such type.
    """
    import torch  # noqa: PLC0415

    if not array.flags.writeable or min(array.strides, default=0) < 0:
        array = array.copy()
    name = array.dtype.name
    if name in _READ_AS_BITS:
        bits = torch.from_numpy(array.view(f"i{array.dtype.itemsize}"))
        return bits.view(getattr(torch, name)).to(where)
    try:
        return torch.from_numpy(array).to(where)
    except TypeError as error:
        raise Unsupported(f"torch reads no NumPy array of {array.dtype}") from error


_READ_AS_BITS = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


def to_array(tensor: Any) -> Array:
    """Return a tensor as an array of the same type."""
    import torch  # noqa: PLC0415

    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        bits: Array = tensor.contiguous().view(torch.int16).numpy()
        return bits.view(ml_dtypes.bfloat16)
    array: Array = tensor.numpy()
    return array


_PROGRAMS = 256
"""Programs that the compiler may make of one function: for each model, set of attributes, rank."""


def compiled(function: Callable[..., Any], **settings: bool) -> Callable[..., Any]:
    """Return a function that torch compiles for free sizes.

    Where the compiler gives up for too many programs torch would go on without it, unnoticed; here
    that is an error.

    Args:
        function: a function of tensors, or a module.
        settings: more settings of the compiler.
    """
    import torch  # noqa: PLC0415
    from torch._dynamo import config  # noqa: PLC0415  # there is no public way to these

    program = torch.compile(function, dynamic=True)
    limits = {"recompile_limit": _PROGRAMS, "accumulated_recompile_limit": _PROGRAMS}

    def run(*arguments: Any, **named: Any) -> Any:
        with config.patch(fail_on_recompile_limit_hit=True, **limits, **settings):
            return program(*arguments, **named)

    return run
