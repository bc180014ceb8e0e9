"""The kinds of models that there are, by the capability that each needs of a candidate."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from conformance import encoder_decoders, encoders
from conformance.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from conformance.candidate import Candidate
    from conformance.checked import CheckedEncoder, CheckedEncoderDecoder
    from conformance.package import ModelPackage
    from conformance.records import Contract, Profile

DECODER = "logits"
NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        DECODER: ("a decoder", "decoders"),
        "encoder": ("an encoder", "encoders"),
        "encoder_decoder": ("an encoder-decoder", "encoder-decoders"),
    }
)
"""What one and several of a kind are called; a profile that judges models demands one of these."""


def kind_of(config: Any) -> str:
    """Return the kind of a model, by the content of its config.json: a key of :data:`NAMES`."""
    if encoders.is_encoder(config):
        return "encoder"
    return "encoder_decoder" if encoder_decoders.is_encoder_decoder(config) else DECODER


def checked(
    candidate: Candidate, package: ModelPackage, contract: Contract, who: str = ""
) -> CheckedEncoder | CheckedEncoderDecoder | None:
    """Return a model of a candidate as checks see it; None of a decoder, which has more to it."""
    kind = kind_of(package.config)
    if kind == "encoder":
        return encoders.checked(candidate.load, package, contract, who)
    if kind == "encoder_decoder":
        return encoder_decoders.checked(candidate.load, package, contract, who)
    return None


def check(package: ModelPackage, profile: Profile, profiles: Iterable[Profile]) -> None:
    """Check that a profile judges models of a package's kind.

    Raises:
        UsageError: it judges others.
    """
    seen, wanted = kind_of(package.config), _judged(profile)
    if seen != wanted:
        others = [p.name for p in profiles if p.demands and _judged(p) == seen]
        raise UsageError(
            f"{package.path} holds {NAMES[seen][0]}, and profile {profile.name} judges "
            f"{NAMES[wanted][1]}: name another with --profile ({', '.join(others)})"
        )


def _judged(profile: Profile) -> str:
    return next((kind for kind in NAMES if kind in profile.demands), DECODER)
