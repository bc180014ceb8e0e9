"""The candidate as a check sees it: guarded, its answers checked for form, its oracle at hand.

Whatever a candidate raises becomes a :class:`CandidateFault`, so that a check's own mistakes can
be told from the candidate's. Arrays are copied on the way in and on the way out: a candidate that
writes to its inputs, or answers twice in one buffer, must not change what is judged.
"""

from conformance.checked.encoder import CheckedEncoder
from conformance.checked.encoder_decoder import CheckedEncoderDecoder
from conformance.checked.form import MAY_LACK, formed, guarded
from conformance.checked.model import CheckedModel, CheckedSession, RememberedOracle
from conformance.checked.operators import CheckedOperators, RememberedTruths
from conformance.checked.sampler import CheckedSampler
from conformance.checked.tokenizer import CheckedTokenizer

__all__ = [
    "MAY_LACK",
    "CheckedEncoder",
    "CheckedEncoderDecoder",
    "CheckedModel",
    "CheckedOperators",
    "CheckedSampler",
    "CheckedSession",
    "CheckedTokenizer",
    "RememberedOracle",
    "RememberedTruths",
    "formed",
    "guarded",
]
