"""The rotary keys of config.json: one base and one scaling, in every place that a reader looks at.

The rules of ``hf_config``'s layer 3 that are about rotary position embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

SLIDES, FULL = "sliding_attention", "full_attention"
"""The two kinds of layers, by the words of ``layer_types``."""
_LLAMA3 = {
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
}
_BESIDE = ("partial_rotary_factor", "original_max_position_embeddings")
"""What Phi-3 keeps at the top, and transformers 5 in ``rope_parameters``, too."""
_SHARES: Mapping[str, tuple[str, ...]] = {"phi3": ("default", "longrope"), "glm4": ("default",)}
"""Families that turn a share of each head, and the rope types that are read of them."""
_NO_SCALING = {"type", "rope_type", "rope_theta"}
"""Keys of a rope object that are no parameters of its scaling."""
_DEMANDED: Mapping[str, set[str]] = {
    "default": set(),
    "linear": {"factor"},
    "dynamic": {"factor"},
    # Without the original length readers take max_position_embeddings, which is the longer one.
    "yarn": {"factor", "original_max_position_embeddings"},
    "longrope": {"short_factor", "long_factor"},
    "llama3": _LLAMA3,
}
"""Keys without which a rope type means nothing (transformers, ``modeling_rope_utils``)."""


def check_rope(document: Mapping[str, Any], head_dim: int) -> None:
    """Demand one base and one scaling, wherever a family has them.

    Args:
        document: the content of a config.json.
        head_dim: channels of a head.

    Raises:
        FormatError: one is missing, in conflict with another, or of another family.
    """
    parts = {f"/{key}": document.get(key) for key in ("rope_scaling", "rope_parameters")}
    _check_shares(document, parts)
    if document["model_type"] in _SHARES:
        _check_shared(document, parts, head_dim)
        return
    if document["model_type"] == "gpt_oss":
        _check_yarn(parts)
    nested = [key for key in (FULL, SLIDES) if key in (parts["/rope_parameters"] or {})]
    if document["model_type"] != "gemma3_text":
        if nested:
            detail = "tells kinds of layers apart, which a gemma3_text alone does"
            raise FormatError("L3-ROPE-KEYS", detail, f"/rope_parameters/{nested[0]}")
        _check_base(document, "rope_theta", parts)
        return
    parameters = parts.pop("/rope_parameters")
    if parameters is not None and set(parameters) != {FULL, SLIDES}:
        detail = f"has {', '.join(parameters)}; of a gemma3_text it has {FULL} and {SLIDES}"
        raise FormatError("L3-ROPE-KEYS", detail, "/rope_parameters")
    full, local = ((parameters or {}).get(kind) for kind in (FULL, SLIDES))
    _check_base(document, "rope_theta", {**parts, f"/rope_parameters/{FULL}": full})
    _check_base(document, "rope_local_base_freq", {f"/rope_parameters/{SLIDES}": local})


def _check_shares(
    document: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any] | None]
) -> None:
    """Demand that heads are turned whole, and each pair by one scaling, but of a few families."""
    if document["model_type"] in _SHARES:
        return
    for place, part in {"": document, **parts}.items():
        if (part or {}).get("partial_rotary_factor", 1) != 1:
            detail = "turns a part of each head, which is read of a phi3 or glm4 alone"
            raise FormatError("L3-ROPE-KEYS", detail, f"{place}/partial_rotary_factor")
        if part is not None and "longrope" in (part.get("rope_type"), part.get("type")):
            detail = "is longrope, which is read of a phi3 alone"
            raise FormatError("L3-ROPE-KEYS", detail, place)


def _check_yarn(parts: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Demand that the scaling of a gpt-oss is written: where none is, readers assume one."""
    kinds = [part.get("rope_type") or part.get("type") for part in parts.values() if part]
    if "yarn" not in kinds:
        detail = "has no rope type 'yarn', which readers assume of a gpt_oss where none is written"
        raise FormatError("L3-ROPE-KEYS", detail)


def _check_shared(
    document: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any] | None], head_dim: int
) -> None:
    """Demand one share, one original length and one scaling, wherever they stand."""
    family = document["model_type"]
    kinds = {
        place: part.get("rope_type") or part.get("type") for place, part in parts.items() if part
    }
    for place, kind in kinds.items():
        if kind not in (None, *_SHARES[family]):
            known = " or ".join(map(repr, _SHARES[family]))
            detail = f"has the rope type {kind!r}; a {family} has {known}"
            raise FormatError("L3-ROPE-KEYS", detail, place)
    for key in _BESIDE:
        places = {"": document, **parts}
        given = {
            f"{place}/{key}": part[key] for place, part in places.items() if part and key in part
        }
        agree(given, "L3-ROPE-CONFLICT")
    told = any("partial_rotary_factor" in (part or {}) for part in (document, *parts.values()))
    if family == "glm4" and not told:
        detail = "has no partial_rotary_factor; readers would assume a half"
        raise FormatError("L3-KEY-MISSING", detail)
    bare = {
        place: part and {key: value for key, value in part.items() if key not in _BESIDE}
        for place, part in parts.items()
    }
    _check_base(document, "rope_theta", bare)
    if "longrope" not in kinds.values():
        return
    if document.get("original_max_position_embeddings") is None:
        detail = "has no original_max_position_embeddings; readers would assume 4096"
        raise FormatError("L3-KEY-MISSING", detail)
    pairs = int(head_dim * document.get("partial_rotary_factor", 1)) // 2
    for place, part in parts.items():
        for key in ("short_factor", "long_factor"):
            if part and len(part[key]) != pairs:
                detail = f"has {len(part[key])} factors; {pairs} pairs are turned"
                raise FormatError("L3-ROPE-KEYS", detail, f"{place}/{key}")


def _check_base(
    document: Mapping[str, Any], base: str, parts: Mapping[str, Mapping[str, Any] | None]
) -> None:
    """Demand one base, at the top or in a part, and one scaling, in one part or in all alike."""
    thetas, scalings = {}, {}
    if document.get(base) is not None:
        thetas[f"/{base}"] = document[base]
    for place, part in parts.items():
        if part is None:
            continue
        if "rope_theta" in part:
            thetas[f"{place}/rope_theta"] = part["rope_theta"]
        scalings[place] = _scaling(part, place)
    if not thetas:
        detail = (
            f"has no {base}, neither at the top nor in rope_parameters; readers would assume "
            "10000. Write the base with which the model was trained"
        )
        raise FormatError("L3-ROPE-THETA-MISSING", detail)
    agree(thetas, "L3-ROPE-CONFLICT")
    agree(scalings, "L3-ROPE-CONFLICT")


def _scaling(part: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return a rope object without its base, by the newer spelling of its type."""
    kinds = {f"{place}/{key}": part[key] for key in ("rope_type", "type") if key in part}
    if not kinds:
        raise FormatError("L3-ROPE-TYPE-MISSING", "has no rope_type", place)
    agree(kinds, "L3-ROPE-CONFLICT")
    kind = next(iter(kinds.values()))
    lacking = sorted(_DEMANDED[kind] - set(part))
    if lacking:
        detail = f"lacks {', '.join(lacking)}, which rope type {kind!r} needs"
        raise FormatError("L3-ROPE-KEYS", detail, place)
    if kind == "llama3" and not part["low_freq_factor"] < part["high_freq_factor"]:
        seen = f"is {part['low_freq_factor']}, not below {part['high_freq_factor']}"
        raise FormatError(
            "L3-ROPE-BANDS", f"{seen}, the high_freq_factor", f"{place}/low_freq_factor"
        )
    fast, slow = (part.get(key) or usual for key, usual in (("beta_fast", 32), ("beta_slow", 1)))
    if kind == "yarn" and not slow < fast:
        seen = f"is {slow}, not below {fast}, the beta_fast"
        raise FormatError("L3-ROPE-BANDS", seen, f"{place}/beta_slow")
    other = {
        key: value for key, value in part.items() if key not in _NO_SCALING and value is not None
    }
    if kind == "default":
        other = {}  # keys of a scaling that is switched off say nothing
    return {"rope_type": kind, **other}


def agree(places: Mapping[str, Any], code: str) -> None:
    """Refuse two places that say different things; the pointer is the second's."""
    (first, expected), *others = places.items() or [("", None)]
    for place, value in others:
        if value != expected:
            detail = f"is {value!r}, but {first} is {expected!r}; readers take either: remove one"
            raise FormatError(code, detail, place)
