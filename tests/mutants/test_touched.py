"""What a change touches of the kill matrix is tried at once, and all the rest by turns."""

from __future__ import annotations

import pytest

from conformance import catalogue, mutants
from conformance.matrix import touched

KNOWN = mutants.all_mutants()
NOW = touched.sources()


def changed(name):
    return touched.touched({**NOW, name: "0" * 64})


def test_every_mutant_and_every_check_stands_in_a_file_that_is_looked_at():
    assert {touched.source_of(mutant) for mutant in KNOWN.values()} <= set(NOW)
    assert {f"checks/{check.module}" for check in catalogue.all_checks()} <= set(NOW)


def test_no_change_touches_nothing_and_what_was_never_tried_is_touched():
    assert touched.touched(NOW) == ()
    assert touched.touched({}) == tuple(KNOWN)


@pytest.mark.parametrize("topic", ["positions", "norms"])
def test_a_file_of_mutants_touches_its_own(topic):
    found = changed(f"mutants/{topic}")
    assert found == tuple(name for name, mutant in KNOWN.items() if mutant.topic == topic)


def test_a_file_of_checks_touches_who_names_one_of_them():
    ids = {check.requirement for check in catalogue.all_checks() if check.module == "test_rope"}
    found = changed("checks/test_rope")
    assert set(found) == {name for name, mutant in KNOWN.items() if ids.intersection(mutant.kills)}
    assert 10 < len(found) < len(KNOWN) / 2


def test_where_checks_do_not_count_only_its_own_file_touches_a_mutant():
    seen = {**NOW, "checks/test_rope": "0" * 64, "mutants/norms": "0" * 64}
    found = touched.touched(seen, by_checks=False)
    assert found == changed("mutants/norms")


def test_in_its_turn_comes_everything_once():
    of, turns = 3, {}
    for revision in "abcdefghijklmnopqrstuvwxyz":
        names = tuple(touched.turn(KNOWN, of, revision))
        turns[names[0]] = names
    assert len(turns) == of
    assert sorted(name for names in turns.values() for name in names) == sorted(KNOWN)
    assert all(abs(len(names) - len(KNOWN) / of) < len(KNOWN) / 10 for names in turns.values())


def test_a_file_of_checks_touches_the_requirements_that_they_decide():
    assert touched.requirements(NOW) == ()
    assert touched.requirements({**NOW, "mutants/norms": "0" * 64}) == ()
    found = touched.requirements({**NOW, "checks/test_rope": "0" * 64})
    ids = {check.requirement for check in catalogue.all_checks() if check.module == "test_rope"}
    assert set(found) == ids
    assert len(found) == len(ids)
