"""The fixtures that checks are written against; all live as long as the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from conformance.subject import Subject

if TYPE_CHECKING:
    from conformance.checked import (
        CheckedModel,
        CheckedOperators,
        CheckedSampler,
        CheckedTokenizer,
    )
    from conformance.package import ModelPackage
    from conformance.records import CandidateInfo

SUBJECT = pytest.StashKey[Subject]()


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest) -> Subject:
    """The opened candidate of this run."""
    return request.config.stash[SUBJECT]


@pytest.fixture(scope="session")
def candidate(subject: Subject) -> CandidateInfo:
    """What the candidate says of itself.

    Raises:
        CandidateFault: it could not be opened, and has said nothing.
    """
    if subject.fault is not None:
        raise subject.fault
    return subject.info


@pytest.fixture(scope="session")
def model(subject: Subject, request: pytest.FixtureRequest) -> CheckedModel:
    """One model of the profile, in the candidate; a check that takes it runs on each of them.

    In profiles of encoders it is a ``CheckedEncoder``, of encoder-decoders a
    ``CheckedEncoderDecoder``.
    """
    return cast("CheckedModel", subject.models[cast("str", request.param)])


@pytest.fixture(scope="session")
def other_model(subject: Subject, model: CheckedModel) -> CheckedModel:
    """The same model in the second candidate, which the first is held against."""
    return cast("CheckedModel", _second(subject).models[model.package.name])


@pytest.fixture(scope="session")
def other_operators(subject: Subject) -> CheckedOperators:
    """The second candidate's operators."""
    return _second(subject).operators


def _second(subject: Subject) -> Subject:
    assert subject.against is not None, "planned without a second candidate"
    return subject.against


@pytest.fixture(scope="session")
def package(model: CheckedModel) -> ModelPackage:
    """The model package that the candidate loads."""
    return model.package


@pytest.fixture(scope="session")
def operators(subject: Subject) -> CheckedOperators:
    """The candidate's operators."""
    return subject.operators


@pytest.fixture(scope="session")
def sampler(subject: Subject) -> CheckedSampler:
    """The candidate's sampling."""
    return subject.sampler


@pytest.fixture(scope="session")
def tokenizer(subject: Subject) -> CheckedTokenizer:
    """The candidate's tokenizer."""
    return subject.tokenizer
