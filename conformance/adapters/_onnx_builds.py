"""Which ONNX build of a model package an adapter loads, as the user writes it.

``build=package`` is the folder's own ``model.onnx``, or ``model_fp16.onnx`` and the like for
another ``dtype``; the others are the suite's exports at an opset. A folder that has a file of a
build's name supplies it; where there is none the suite makes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping


def options() -> dict[str, tuple[str, ...]]:
    """Return the options for ``candidate.choose``, beside ``dtype``."""
    from reference_model.builds import OPSETS  # noqa: PLC0415  # listing adapters needs no model

    return {
        "build": ("package", *(f"opset{opset}" for opset in OPSETS[1:])),
        "data": ("inside", "external"),
    }


def file_of(chosen: Mapping[str, str]) -> str:
    """Return the name of the file that the options ask for.

    Raises:
        Unsupported: no build has the type.
    """
    from reference_model.builds import DTYPES, OPSETS, Build  # noqa: PLC0415  # see above

    if chosen["dtype"] not in DTYPES:
        raise Unsupported(
            f"there is no ONNX build in {chosen['dtype']}, only in {', '.join(DTYPES)}"
        )
    named = chosen["build"].removeprefix("opset")
    opset = int(named) if named.isdecimal() else OPSETS[0]
    return Build(opset, chosen["dtype"], external=chosen["data"] == "external").file
