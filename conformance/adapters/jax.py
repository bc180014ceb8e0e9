"""JAX: a Llama decoder written in it for this suite, and JAX's own functions for the operators.

``jax[:cpu|gpu|gpu:<n>][?dtype=...&jit=yes|no&shapes=padded|exact&optimization=all|least]``. What is
under test is JAX and XLA: functions, compiler, devices and types. A program is compiled for each
shape, so servers written in JAX pad rows, tokens and cache to a few sizes; ``shapes=exact``
compiles what comes. ``optimization=least`` compiles five times faster, to slower programs.
Shape letters: L layers, B batch, T tokens, S tokens seen so far, C capacity of the cache, D model,
G key/value heads, K head dim, V vocabulary.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision
from conformance.adapters import _jax, _jax_decoder, _jax_operators, _llama
from conformance.candidate import choose, not_importable
from conformance.records import CandidateInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from conformance.adapters._jax import Place
    from conformance.adapters._llama import Llama
    from conformance.candidate import Candidate
    from conformance.package import ModelPackage
    from conformance.records import OperatorCall

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_CAPABILITIES = frozenset({"logits", "cache", "operators", "hidden_states"})


@contextmanager
def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]:  # noqa: A001  # the seam
    """Open JAX on a device; ``dtype`` is the type of weights and activations, and the claim.

    Raises:
        CandidateUnavailable: JAX is not installed, or the device or an option is unknown.
    """
    chosen = choose(
        options,
        {
            "dtype": tuple(_jax.PRECISIONS),
            "jit": ("yes", "no"),
            "shapes": ("padded", "exact"),
            "optimization": ("all", "least"),
        },
    )
    try:
        import jax  # noqa: PLC0415
    except ImportError as error:
        raise not_importable("jax", "pip install 'llm-conformance[jax]'", error) from error

    place = _jax.Place(
        _jax.device(target),
        jit=chosen["jit"] == "yes",
        optimized=chosen["optimization"] == "all",
    )
    yield _Candidate(jax.__version__, place, chosen)


class _Candidate:
    """JAX on one device, in one type."""

    def __init__(self, version: str, place: Place, options: Mapping[str, str]) -> None:
        self._place, self._options = place, options
        how = "jitted" if place.jit else "function by function"
        self.info = CandidateInfo(
            name="jax",
            version=version,
            runtime=f"jax {version}, {how}, {options['shapes']} shapes, "
            f"optimization {options['optimization']}",
            device=_jax.device_name(place.device),
            claims=_jax.claims(_CAPABILITIES, options["dtype"]),
        )

    def load(self, package: ModelPackage) -> _Model:
        """Load a package's weights, rounded once to the type, into a decoder of JAX's functions."""
        import jax  # noqa: PLC0415

        llama = _llama.read(package)
        dtype = precision.dtype(self._options["dtype"])
        weights = _jax_decoder.weights_of(package, llama, dtype)
        return _Model(
            llama,
            jax.device_put(weights, self._place.device),
            self._place,
            padded=self._options["shapes"] == "padded",
        )

    def operator(self, call: OperatorCall) -> dict[str, Array]:
        """Compute one standard operator by JAX's own functions, in the inputs' types."""
        return _jax_operators.compute(call, self._place)


class _Model:
    """The decoder on a device, its programs compiled as shapes come."""

    def __init__(self, llama: Llama, weights: Any, place: Place, *, padded: bool) -> None:
        self._llama, self._weights, self._padded = llama, weights, padded
        self.place = place
        self._forward = place.program(partial(_jax_decoder.forward, llama))

    def size(self, length: int, least: int = 1) -> int:
        """Return for how many rows, tokens or places a program is compiled that takes so many.

        A power of four: compiling takes longer here than what is computed in vain.
        """
        if not self._padded or not length:
            return length
        exponent: int = ((length - 1).bit_length() + 1) // 2
        return max(least, 1 << 2 * exponent)

    def logits(self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints) -> Array:
        """Return the logits (B, T, V): one step of an empty session."""
        session = self.start(len(input_ids_BT))
        return session.append(input_ids_BT, attention_mask_BT, position_ids_BT)

    def hidden_states(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the stream after each layer, (B, T, D)."""
        session = self.start(len(input_ids_BT))
        _, taps_LBTD = session.step(input_ids_BT, attention_mask_BT, position_ids_BT)
        return {f"layer.{i}": tap_BTD for i, tap_BTD in enumerate(taps_LBTD)}

    def start(self, batch: int) -> _Session:
        """Return an empty session for ``batch`` rows."""
        llama = self._llama
        shape = (llama.layers, self.size(batch), 0, llama.kv_heads, llama.head_dim)
        none_LBCGK = np.zeros(shape, self._weights["norm"].dtype)
        return _Session(self, (none_LBCGK, none_LBCGK), rows=batch, length=0)

    def step(self, tokens: Sequence[Ints], start: int, cache: Any) -> tuple[Any, Any, Any]:
        """Run the decoder on arrays of the sizes that it is compiled for."""
        given = tuple(_jax.readable(array) for array in tokens)
        logits, cache, taps = self._forward(self._weights, given, np.int32(start), cache)
        return logits, cache, taps


class _Session:
    """Keys and values in a buffer with room to spare, and how much of it is filled.

    JAX's arrays are never written to, so that copies may share them. What stands behind ``length``
    is left over, seen by nobody, and overwritten by the next step.
    """

    def __init__(self, model: _Model, cache: tuple[Any, Any], *, rows: int, length: int) -> None:
        self._model, self._cache = model, cache
        self._rows, self._length = rows, length

    def append(self, input_ids_BT: Ints, attention_mask_BS: Ints, position_ids_BT: Ints) -> Array:
        """Feed T more tokens; return their logits (B, T, V)."""
        return self.step(input_ids_BT, attention_mask_BS, position_ids_BT)[0]

    def step(self, ids_BT: Ints, mask_BS: Ints, positions_BT: Ints) -> tuple[Array, Array]:
        """Feed T more tokens; return their logits (B, T, V) and streams (L, B, T, D)."""
        rows, tokens = ids_BT.shape
        wide, long = self._cache[0].shape[1], self._model.size(tokens)
        with self._model.place.settings():
            self._reserve(self._length + long)
            places = self._cache[0].shape[2]
            arrays = (ids_BT, long), (mask_BS, places), (positions_BT, long)
            logits, self._cache, taps = self._model.step(
                [_filled(array, (wide, width)) for array, width in arrays],
                self._length,
                self._cache,
            )
        self._length += tokens
        return (
            _jax.to_array(logits)[:rows, :tokens],
            _jax.to_array(taps)[:, :rows, :tokens],
        )

    def _reserve(self, places: int) -> None:
        """Make the buffer larger where it has not so many places."""
        more = self._model.size(places, _LEAST) - self._cache[0].shape[2]
        if more > 0:
            widths = ((0, 0), (0, 0), (0, more), (0, 0), (0, 0))
            keys, values = self._cache
            self._cache = _jax.numpy().pad(keys, widths), _jax.numpy().pad(values, widths)

    def copy(self) -> _Session:
        """Return an independent session in the same state."""
        return _Session(self._model, self._cache, rows=self._rows, length=self._length)

    def crop(self, length: int) -> None:
        """Forget everything after the first ``length`` tokens."""
        self._length = min(self._length, length)

    def reorder(self, rows: Sequence[int]) -> None:
        """Make row i of the cache what row ``rows[i]`` was; rows that fill up repeat the first."""
        self._rows = len(rows)
        chosen = np.zeros(self._model.size(self._rows), np.int32)
        chosen[: self._rows] = rows
        with self._model.place.settings():
            keys, values = self._cache
            self._cache = keys[:, chosen], values[:, chosen]


_LEAST = 64
"""Places of the smallest cache."""


def _filled(array: Ints, shape: tuple[int, int]) -> Ints:
    """Return an array with zeros behind it, up to a shape."""
    more = [(0, full - size) for full, size in zip(shape, array.shape, strict=True)]
    return np.pad(array, more)
