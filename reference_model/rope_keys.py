"""The rotary keys of a ``config.json``, in the places where each dialect has them.

transformers 4 writes ``rope_theta`` and ``rope_scaling``, transformers 5 ``rope_parameters`` with
both in it. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reference_model import config_keys as keys
from reference_model import json_values
from reference_model.config import Linear, Llama3, LongRope, Rope, Yarn
from reference_model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reference_model.config import ModelConfig, Scaling

SLIDING, FULL = "sliding_attention", "full_attention"
"""The two words of ``layer_types``, by which Gemma 3's rotary parameters are kept, too."""
_SHARE, _LENGTH = "partial_rotary_factor", "original_max_position_embeddings"
"""Keys that are read from every place that has them."""
_COMMON = {"type", "rope_type", "rope_theta", "partial_rotary_factor"}


def read_rope(document: Mapping[str, Any]) -> dict[str, Any]:
    """Read the rotary parameters from wherever they stand; several places have to agree.

    Returns:
        The field ``rope`` of ``ModelConfig``.

    Raises:
        ConfigError: they do not, or one is missing, unknown or of a value that is not understood.
    """
    parts = {place: document.get(place) for place in ("rope_scaling", "rope_parameters")}
    return {"rope": _of_any_length(_read(document, "rope_theta", parts))}


def read_ropes(document: Mapping[str, Any]) -> dict[str, Any]:
    """Read those of layers that see everything and of layers with a window, Gemma 3's.

    transformers 5 keeps both in ``rope_parameters``, by the kind of layer. Before that the latter
    had ``rope_local_base_freq`` and no scaling, whatever ``rope_scaling`` says.

    Returns:
        The fields ``rope`` and ``local_rope`` of ``ModelConfig``.

    Raises:
        ConfigError: as for ``read_rope``.
    """
    nested = document.get("rope_parameters")
    if nested is not None and not (isinstance(nested, dict) and set(nested) == {SLIDING, FULL}):
        raise ConfigError(
            f"config.json: rope_parameters is {nested!r}; it has to be an object of {SLIDING} and "
            f"{FULL}"
        )
    by_kind = {kind: (nested or {}).get(kind) for kind in (SLIDING, FULL)}
    full = {"rope_scaling": document.get("rope_scaling"), _place(FULL): by_kind[FULL]}
    local = {_place(SLIDING): by_kind[SLIDING]}
    return {
        "rope": _of_any_length(_read(document, "rope_theta", full)),
        "local_rope": _of_any_length(_read(document, "rope_local_base_freq", local)),
    }


def _of_any_length(rope: Rope) -> Rope:
    if isinstance(rope.scaling, LongRope):
        raise ConfigError("config.json: rope type 'longrope' is computed here for a phi3 alone")
    return rope


def read_phi3_rope(document: Mapping[str, Any]) -> dict[str, Any]:
    """Read Phi-3's: the share of a head that is turned, and LongRoPE, of a length beside it.

    transformers 4 keeps the share and the length at the top alone, transformers 5 in
    ``rope_parameters``, too. Where no factor is given it is how much longer contexts became.

    Raises:
        ConfigError: as for ``read_rope``.
    """
    parts = {place: document.get(place) for place in ("rope_scaling", "rope_parameters")}
    rope = _read(
        document,
        "rope_theta",
        {place: _bare(part, _SHARE, _LENGTH) for place, part in parts.items()},
    )
    shares = _told(document, parts, _SHARE, json_values.number)
    scaling = rope.scaling
    if isinstance(scaling, LongRope):
        lengths = _told(document, parts, _LENGTH, json_values.integer)
        if "original_max_position_embeddings" not in lengths:
            raise ConfigError(
                "config.json: original_max_position_embeddings is missing (no default is assumed)"
            )
        length = int(lengths["original_max_position_embeddings"])
        extended = json_values.integer(document, "max_position_embeddings") / max(1, length)
        scaling = replace(scaling, factor=scaling.factor or extended, original_max_positions=length)
    elif scaling is not None:
        raise ConfigError(f"config.json: a phi3 has rope type 'default' or 'longrope': {scaling}")
    return {"rope": Rope(rope.theta, scaling, next(iter(shares.values()), 1.0))}


def read_glm4_rope(document: Mapping[str, Any]) -> dict[str, Any]:
    """Read GLM-4's: neighbours are turned, of a share of each head that has to be told.

    transformers 4 keeps the share at the top, transformers 5 in ``rope_parameters``.

    Raises:
        ConfigError: as for ``read_rope``.
    """
    parts = {place: document.get(place) for place in ("rope_scaling", "rope_parameters")}
    rope = _read(
        document, "rope_theta", {place: _bare(part, _SHARE) for place, part in parts.items()}
    )
    if rope.scaling is not None:
        raise ConfigError(f"config.json: a glm4 has rope type 'default': {rope.scaling}")
    shares = _told(document, parts, _SHARE, json_values.number)
    if not shares:
        raise ConfigError("config.json: partial_rotary_factor is missing (no default is assumed)")
    return {"rope": replace(rope, share=next(iter(shares.values())), interleaved=True)}


def _bare(part: Any, *apart: str) -> Any:
    """Return a rope object without what is read from every place that has it."""
    if not isinstance(part, dict):
        return part
    return {key: value for key, value in part.items() if key not in apart}


def _told(
    document: Mapping[str, Any],
    parts: Mapping[str, Any],
    key: str,
    read: Callable[..., float],
) -> dict[str, float]:
    """Return a number from every place that has it; they have to agree."""
    places = {"": document, **{place: part for place, part in parts.items() if part is not None}}
    found = {
        f"{place}.{key}" if place else key: read(part, key, place)
        for place, part in places.items()
        if part.get(key) is not None
    }
    _agree(found)
    return found


def write_rope(config: ModelConfig, dialect: int | None) -> dict[str, Any]:
    """Return the rotary keys of a dialect, 4 or 5, or of both."""
    rope, local, beside = config.rope, config.local_rope, _beside(config)
    assert rope is not None, "a family without a rotation has none of these keys"
    document: dict[str, Any] = {**beside}
    if dialect != 5:
        scaling = _written(config, rope)
        if isinstance(rope.scaling, LongRope):  # by the older spelling, which alone is allowed
            scaling["type"] = scaling.pop("rope_type")
        document |= {"rope_theta": rope.theta, "rope_scaling": scaling or None}
        if local is not None:
            document["rope_local_base_freq"] = local.theta
    if dialect != 4:
        parameters = _parameters(config, rope) | beside
        if local is not None:
            parameters = {FULL: parameters, SLIDING: _parameters(config, local)}
        document["rope_parameters"] = parameters
    return document


def _beside(config: ModelConfig) -> dict[str, Any]:
    """Return Phi-3's keys that stand at the top in every dialect, and in transformers 5 twice."""
    rope = config.rope
    document: dict[str, Any] = {}
    assert rope is not None, "a family without a rotation has none of these keys"
    if rope.share != 1 or rope.interleaved:  # of a GLM-4 it is a half where nothing is said
        document["partial_rotary_factor"] = rope.share
    if isinstance(rope.scaling, LongRope):
        document["original_max_position_embeddings"] = rope.scaling.original_max_positions
    return document


def _place(kind: str) -> str:
    return f"rope_parameters.{kind}"


def _parameters(config: ModelConfig, rope: Rope) -> dict[str, Any]:
    return (_written(config, rope) or {"rope_type": "default"}) | {"rope_theta": rope.theta}


def _read(document: Mapping[str, Any], base: str, parts: Mapping[str, Any]) -> Rope:
    """Read a base, from its key at the top or from the parts, and a scaling from the parts."""
    thetas: dict[str, float] = {}
    scalings: dict[str, Scaling | None] = {}
    if document.get(base) is not None:
        thetas[base] = json_values.number(document, base)
    for place, part in parts.items():
        if part is None:
            continue
        if not isinstance(part, dict):
            raise ConfigError(f"config.json: {place} is {part!r}; an object or null is allowed")
        if part.get("rope_theta") is not None:
            thetas[f"{place}.rope_theta"] = json_values.number(part, "rope_theta", place)
        scalings[place] = _scaling(part, place)
    if not thetas:
        raise ConfigError(
            f"config.json: {base} is missing; give it there or in rope_parameters (a default is "
            "not assumed)"
        )
    _agree(thetas)
    _agree(scalings)
    return Rope(next(iter(thetas.values())), next(iter(scalings.values()), None))


def _written(config: ModelConfig, rope: Rope) -> dict[str, Any]:
    """Return the keys of a scaling, its type among them; none where there is no scaling."""
    scaling = rope.scaling
    match scaling:
        case None:
            return {}
        case Linear(factor):
            return {"rope_type": "linear", "factor": factor}
        case Llama3(factor, low, high, positions):
            values = (factor, low, high, positions)
            return {"rope_type": "llama3"} | dict(
                zip(keys.ROPE_KEYS["llama3"], values, strict=True)
            )
        case Yarn():
            options = {key: getattr(scaling, key) for key in keys.ROPE_OPTIONS["yarn"]}
            return {
                "rope_type": "yarn",
                "factor": scaling.factor,
                "original_max_position_embeddings": scaling.original_max_positions,
                **{key: value for key, value in options.items() if value is not None},
            }
        case LongRope(short, long, factor, length, given):
            # transformers 4 allows no other key without need.
            extended = config.max_positions / length
            options = {"factor": None if factor == extended else factor, "attention_factor": given}
            return {
                "rope_type": "longrope",
                "short_factor": list(short),
                "long_factor": list(long),
                **{key: value for key, value in options.items() if value is not None},
            }


def _agree(places: Mapping[str, object]) -> None:
    if len(set(places.values())) > 1:
        told = " and ".join(f"{place} says {value!r}" for place, value in places.items())
        raise ConfigError(f"config.json: {told}; they have to agree, so remove one")


def _scaling(part: Mapping[str, Any], place: str) -> Scaling | None:
    kind = _rope_type(part, place)
    _check_names(part, place, kind)
    json_values.check_value(
        f"{place}.partial_rotary_factor", part.get("partial_rotary_factor", 1.0), (1.0,)
    )
    if kind == "default":
        return None
    if kind == "longrope":
        return _longrope(part, place)
    factor = json_values.number(part, "factor", place)
    if kind == "linear":
        return Linear(factor)
    if kind == "yarn":
        return _yarn(part, place, factor)
    return Llama3(
        factor=factor,
        low_freq_factor=json_values.number(part, "low_freq_factor", place),
        high_freq_factor=json_values.number(part, "high_freq_factor", place),
        original_max_positions=json_values.integer(part, "original_max_position_embeddings", place),
    )


def _yarn(part: Mapping[str, Any], place: str, factor: float) -> Yarn:
    positions = json_values.integer(part, "original_max_position_embeddings", place)
    given = {key for key in keys.ROPE_OPTIONS["yarn"] if part.get(key) is not None}
    options: dict[str, Any] = {
        key: json_values.number(part, key, place) for key in given - {"truncate"}
    }
    if "truncate" in given:
        options["truncate"] = json_values.boolean(part, "truncate", place)
    return Yarn(factor, positions, **options)


def _longrope(part: Mapping[str, Any], place: str) -> LongRope:
    """Read factors; of what follows from other keys, 0 stands for what is not given."""
    given = {
        key: json_values.number(part, key, place)
        for key in ("factor", "attention_factor")
        if part.get(key) is not None
    }
    short, long = (
        tuple(json_values.numbers(part, key, place)) for key in ("short_factor", "long_factor")
    )
    return LongRope(short, long, given.pop("factor", 0.0), 0, **given)


def _check_names(part: Mapping[str, Any], place: str, kind: str) -> None:
    own = (*keys.ROPE_KEYS[kind], *keys.ROPE_OPTIONS.get(kind, ()))
    for key, value in part.items():
        if key not in _COMMON and key not in own:
            allowed = ", ".join(own) or "no parameter"
            raise ConfigError(
                f"config.json: {place}.{key} (value {value!r}) is not understood; rope type "
                f"{kind!r} has {allowed}"
            )


def _rope_type(part: Mapping[str, Any], place: str) -> str:
    """Return the rope type, which has two spellings; transformers 5 may write both."""
    kinds = {f"{place}.{key}": part[key] for key in ("rope_type", "type") if key in part}
    if not kinds:
        raise ConfigError(f"config.json: {place}.rope_type is missing; allowed: {_rope_types()}")
    for key, kind in kinds.items():
        if not isinstance(kind, str) or kind not in keys.ROPE_KEYS:
            raise ConfigError(f"config.json: {key} is {kind!r}; allowed: {_rope_types()}")
    _agree(kinds)
    return str(next(iter(kinds.values())))


def _rope_types() -> str:
    return ", ".join(repr(kind) for kind in keys.ROPE_KEYS)
