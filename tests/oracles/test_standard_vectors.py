"""The oracle reproduces the ONNX package's own node vectors, or says why it does not."""

from __future__ import annotations

import re

import numpy as np
import pytest
from node_vectors import FAULTY, STANDARD, UNKNOWN, evaluators_contract, rho, vectors

from conformance.errors import SpecError
from conformance.oracles.standard import expected

WITHOUT = ()
"""Operators of the table for which the package has no vector."""
AT_LEAST = 229
"""The package's vectors can grow; fewer would mean that some are no longer found."""


def plain():
    return [vector for vector in vectors() if not vector.expanded]


def answer(vector):
    return expected(vector.call, evaluators_contract(vector.dtype))


@pytest.mark.parametrize("operator", STANDARD)
def test_every_vector_is_reproduced_or_has_a_reason(operator):
    mine = [vector for vector in plain() if vector.call.operator == operator]
    assert bool(mine) != (operator in WITHOUT)
    for vector in mine:
        if vector.name in UNKNOWN:
            with pytest.raises(SpecError):
                answer(vector)
        else:
            reproduced = rho(vector.answered, answer(vector)) <= 1
            assert reproduced != (vector.name in FAULTY), vector.name


def test_no_vector_is_lost():
    assert len(plain()) >= AT_LEAST
    assert {*UNKNOWN, *FAULTY} <= {vector.name for vector in plain()}


def test_an_expanded_vector_asks_what_the_plain_one_asks():
    originals = {vector.name: vector for vector in plain()}
    expanded = [vector for vector in vectors() if vector.expanded]
    assert expanded
    for vector in expanded:
        original = originals[re.sub(r"_expanded.*", "", vector.name)]
        names = [value.name for value in original.model.graph.input]
        assert [value.name for value in vector.model.graph.input] == names


@pytest.mark.parametrize("fault", ["larger", "shape", "type", "nan"])
def test_a_wrong_answer_is_not_reproduced(fault):
    vector = next(v for v in plain() if v.call.operator == "Softmax" and v.dtype == "float32")
    name, array = next(iter(vector.answered.items()))
    wrong = {
        "larger": array * np.float32(1.001),
        "shape": array[None],
        "type": array.astype(np.float64),
        "nan": np.full_like(array, np.nan),
    }[fault]
    assert not rho({name: wrong}, answer(vector)) <= 1
