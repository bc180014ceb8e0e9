"""The rotary keys of a ``config.json``, in the places where each dialect has them.

transformers 4 writes ``rope_theta`` and ``rope_scaling``, transformers 5 ``rope_parameters`` with
both in it. Nothing here imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_model import config_keys as keys
from reference_model import json_values
from reference_model.config import Linear, Llama3, Rope, Yarn
from reference_model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_model.config import ModelConfig, Scaling

SLIDING, FULL = "sliding_attention", "full_attention"
"""The two words of ``layer_types``, by which Gemma 3's rotary parameters are kept, too."""
_COMMON = {"type", "rope_type", "rope_theta", "partial_rotary_factor"}


def read_rope(document: Mapping[str, Any]) -> dict[str, Any]:
    """Read the rotary parameters from wherever they stand; several places have to agree.

    Returns:
        The field ``rope`` of ``ModelConfig``.

    Raises:
        ConfigError: they do not, or one is missing, unknown or of a value that is not understood.
    """
    parts = {place: document.get(place) for place in ("rope_scaling", "rope_parameters")}
    return {"rope": _read(document, "rope_theta", parts)}


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
        "rope": _read(document, "rope_theta", full),
        "local_rope": _read(document, "rope_local_base_freq", local),
    }


def write_rope(config: ModelConfig, dialect: int | None) -> dict[str, Any]:
    """Return the rotary keys of a dialect, 4 or 5, or of both."""
    rope, local = config.rope, config.local_rope
    assert rope is not None, "a family without a rotation has none of these keys"
    document: dict[str, Any] = {}
    if dialect != 5:
        document |= {"rope_theta": rope.theta, "rope_scaling": _written(rope) or None}
        if local is not None:
            document["rope_local_base_freq"] = local.theta
    if dialect != 4:
        parameters = _parameters(rope)
        if local is not None:
            parameters = {FULL: parameters, SLIDING: _parameters(local)}
        document["rope_parameters"] = parameters
    return document


def _place(kind: str) -> str:
    return f"rope_parameters.{kind}"


def _parameters(rope: Rope) -> dict[str, Any]:
    return (_written(rope) or {"rope_type": "default"}) | {"rope_theta": rope.theta}


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


def _written(rope: Rope) -> dict[str, Any]:
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
