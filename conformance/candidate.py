"""The seam to the subject: what a candidate has to offer, and how one is found by its name.

A candidate is written ``adapter[:target][?key=value&...]``. A bare word is a built-in adapter, a
dotted name an importable module, and a path that ends in ``.py`` a file of the vendor's. An
adapter is a module with one function::

    @contextmanager
    def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]: ...

Tensors that cross the seam are NumPy arrays; bfloat16 and fp8 travel as ml_dtypes. Shape letters:
B batch, T tokens of this call, S tokens seen so far (keys), V vocabulary.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl

from conformance import adapters
from conformance.errors import CandidateRaised, CandidateUnavailable, UsageError, did_you_mean
from conformance.raised import error_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from conformance.package import ModelPackage
    from conformance.records import (
        CandidateInfo,
        Continuation,
        GenerationRequest,
        OperatorCall,
        SamplingCall,
    )

    Array = NDArray[Any]
    Ints = NDArray[np.int64]


class Session(Protocol):
    """A running sequence batch with its key/value cache (capability ``cache``)."""

    def append(self, input_ids_BT: Ints, attention_mask_BS: Ints, position_ids_BT: Ints) -> Array:
        """Feed T more tokens and return their logits (B, T, V).

        ``attention_mask_BS`` covers all S tokens so far, and each step's own counts: it may hide
        what was seen, as rejected drafts are; what was hidden once is never shown again. Positions
        are those of the T tokens, and may leave gaps.
        """
        ...

    def copy(self) -> Session:
        """Return an independent session in the same state."""
        ...

    def crop(self, length: int) -> None:
        """Forget everything after the first ``length`` tokens; all of it where that is 0."""
        ...

    def reorder(self, rows: Sequence[int]) -> None:
        """Make row i of the cache what row ``rows[i]`` was; there may be fewer rows or more."""
        ...


class Model(Protocol):
    """A loaded model. Only methods whose capability is claimed are ever called."""

    def logits(self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints) -> Array:
        """Return logits (B, T, V) in the native type; mask 1 attends (capability ``logits``)."""
        ...

    def start(self, batch: int) -> Session:
        """Return an empty session for ``batch`` rows; several may live (capability ``cache``)."""
        ...

    def hidden_states(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the taps ``layer.<i>`` after each layer (capability ``hidden_states``)."""
        ...


class Generating(Protocol):
    """A model that generates text (capability ``generation``)."""

    def generate(self, request: GenerationRequest) -> Sequence[Continuation]:
        """Return what is added to each prompt, in their order.

        Raises:
            Refused: the request cannot be answered as it stands: an empty prompt, one that is too
                long, no token to be added.
        """
        ...


class Inspectable(Protocol):
    """A model that computes an ONNX graph and can show its inner values; for diagnosis alone.

    Nothing shown is judged, and nobody has to claim it.
    """

    graph_file: Path | None
    """The graph; None where nothing can be shown."""

    def feed(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the graph's inputs, by name, for tokens before which there are none."""
        ...

    def showing(self, names: Sequence[str]) -> Callable[[Sequence[str], Ints, Ints, Ints], Any]:
        """Open the graph once more, with these values as outputs too.

        Returns:
            what computes some of its outputs, in order, from token ids, mask and positions.
        """
        ...


class Candidate(Protocol):
    """The runtime or model under test. ``info`` is read before anything is asked of it."""

    info: CandidateInfo

    def load(self, package: ModelPackage) -> Model:
        """Load a model package (capability ``logits``)."""
        ...

    def operator(self, call: OperatorCall) -> dict[str, Array]:
        """Compute one standard operator, outputs by formal name (capability ``operators``)."""
        ...


class Sampler(Protocol):
    """What a candidate has too that claims ``distributions`` or ``sampling``; it needs no model."""

    def process(self, call: SamplingCall) -> Array:
        """Return the distributions that tokens are drawn from, float32 (B, V).

        By the steps and policies that the claims declare (capability ``distributions``).
        """
        ...

    def sample(self, call: SamplingCall, seed: int, draws: int) -> Array:
        """Return token ids, int64 (B, N), each row drawn ``draws`` times from its distribution.

        Every draw is as if it were the only one: nothing that was drawn before counts (capability
        ``sampling``). Where ``seeded`` is claimed too the same seed draws the same tokens. Seeds
        that follow each other draw others, and not the same ones a draw later.
        """
        ...


_CAPABILITIES = {
    "operator": "operators",
    "logits": "logits",
    "hidden_states": "hidden_states",
    "generate": "generation",
    "process": "distributions",
    "sample": "sampling",
}


def method_of(owner: Any, name: str) -> Callable[..., Any]:
    """Return a method that the candidate needs for what it claims.

    Raises:
        CandidateRaised: there is none.
    """
    method = getattr(owner, name, None)
    if not callable(method):
        raise CandidateRaised(
            f"the candidate claims {_CAPABILITIES.get(name, 'cache')!r}, but its "
            f"{type(owner).__name__} has no method {name}; write it, or claim less"
        )
    found: Callable[..., Any] = method
    return found


@dataclass(frozen=True, slots=True)
class Address:
    """A candidate's name, taken apart."""

    adapter: str
    target: str
    options: Mapping[str, str]
    text: str


_ADDRESS = re.compile(r"(?P<adapter>[^:?]+\.py|[^:?]+)(?::(?P<target>[^?]*))?(?:\?(?P<query>.*))?")


def parse(text: str) -> Address:
    """Take ``adapter[:target][?key=value&...]`` apart.

    Raises:
        UsageError: the text does not have that form.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise UsageError(
            f"candidate {text!r} is not of the form adapter[:target][?key=value&...], such as "
            "onnxruntime:CPUExecutionProvider or ./my_adapter.py:device0"
        )
    query = match["query"] or ""
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs) or len(pairs) != len([p for p in query.split("&") if p]):
        raise UsageError(
            f"candidate {text!r}: options are written key=value, joined by &, each key once"
        )
    return Address(match["adapter"], match["target"] or "", options, text)


def built_in_adapters() -> list[str]:
    """Return the names of the adapters that come with the suite."""
    names = (module.name for module in pkgutil.iter_modules(adapters.__path__))
    return sorted(name for name in names if not name.startswith("_"))


@contextmanager
def open_candidate(text: str) -> Iterator[Candidate]:
    """Open the candidate that ``text`` names, and close it at the end.

    Raises:
        UsageError: there is no such adapter, or it cannot be imported.
        CandidateUnavailable: it cannot be opened here, by its own word or for want of a module.
    """
    address = parse(text)
    module = adapter_module(address)
    with ExitStack() as stack:
        try:
            candidate = stack.enter_context(module.open(address.target, address.options))
        except ImportError as error:
            raise CandidateUnavailable(
                f"adapter {address.adapter!r} cannot be opened here: {error_text(error)}"
            ) from error
        yield candidate


def adapter_module(address: Address) -> ModuleType:
    """Return the adapter's module: a file, a built-in adapter or an importable module."""
    name = address.adapter
    if name.endswith(".py"):
        module = _from_file(Path(name))
    elif "." in name:
        module = _from_import(name)
    elif name in built_in_adapters():
        module = importlib.import_module(f"conformance.adapters.{name}")
    else:
        hint = did_you_mean(name, built_in_adapters())
        raise UsageError(
            f"there is no adapter {name!r}.{hint} An adapter of your own is a dotted module name "
            "or a path that ends in .py."
        )
    if not callable(getattr(module, "open", None)):
        raise UsageError(f"adapter {name!r} has no function open(target, options)")
    return module


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"adapter file {str(path)!r} does not exist (looked in {Path.cwd()})")
    name = f"_llm_conformance_adapter_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _broken(f"file {str(path)!r}", error) from error
    return module


def _from_import(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that a folder here can shadow nothing
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(f"module {name!r}", error) from error
        raise UsageError(
            f"adapter module {name!r} cannot be imported: {error}; looked in {here} and on "
            "Python's own path, to which the environment variable PYTHONPATH adds folders"
        ) from error
    except Exception as error:
        raise _broken(f"module {name!r}", error) from error


def _broken(what: str, error: Exception) -> UsageError:
    """Return the refusal of an adapter that is there: it says nothing of a runtime."""
    return UsageError(f"adapter {what} cannot be imported: {error_text(error)}")


def not_importable(name: str, install: str, error: ImportError) -> CandidateUnavailable:
    """Return the refusal of an adapter whose runtime cannot be imported.

    Args:
        name: the runtime's module.
        install: how one installs it.
        error: what the import raised; a runtime that is there may lack something itself.
    """
    there = importlib.util.find_spec(name) is not None
    what = "cannot be imported, though it is there" if there else f"is not installed ({install})"
    return CandidateUnavailable(f"{name} {what}: {error}")


def choose(options: Mapping[str, str], allowed: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return ``options`` completed with defaults; for adapters.

    Args:
        options: what the user wrote behind the question mark.
        allowed: the values of each option, the default first; an empty tuple admits any text,
            with the default ``""``.

    Raises:
        CandidateUnavailable: an option or its value is unknown.
    """
    for key, value in options.items():
        if key not in allowed:
            raise CandidateUnavailable(f"unknown option {key!r}.{did_you_mean(key, allowed)}")
        if allowed[key] and value not in allowed[key]:
            hint = did_you_mean(value, allowed[key])
            raise CandidateUnavailable(f"option {key}={value!r} is not possible.{hint}")
    return {key: options.get(key, values[0] if values else "") for key, values in allowed.items()}
