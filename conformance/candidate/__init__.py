"""The seam to the subject: what a candidate has to offer, and how one is found by its name.

A candidate is written ``adapter[:target][?key=value&...]``. A bare word is a built-in adapter, a
dotted name an importable module, and a path that ends in ``.py`` a file of the vendor's. An
adapter is a module with one function::

    @contextmanager
    def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]: ...

Tensors that cross the seam are NumPy arrays; bfloat16 and fp8 travel as ml_dtypes.
"""

from conformance.candidate.opening import (
    Address,
    adapter_module,
    built_in_adapters,
    choose,
    not_importable,
    open_candidate,
    parse,
    thread_count,
)
from conformance.candidate.protocols import (
    Candidate,
    Encoder,
    EncoderDecoder,
    Generating,
    Inspectable,
    Model,
    Sampler,
    Session,
    TextStream,
    Tokenizer,
    method_of,
)

__all__ = [
    "Address",
    "Candidate",
    "Encoder",
    "EncoderDecoder",
    "Generating",
    "Inspectable",
    "Model",
    "Sampler",
    "Session",
    "TextStream",
    "Tokenizer",
    "adapter_module",
    "built_in_adapters",
    "choose",
    "method_of",
    "not_importable",
    "open_candidate",
    "parse",
    "thread_count",
]
