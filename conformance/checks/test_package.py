"""The model package as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import constants, judge, models
from conformance.checks import requirement
from conformance.oracles.rotations import rotations
from conformance.package import open_package

if TYPE_CHECKING:
    from conformance.checked import CheckedModel


@requirement("PKG-001")
def test_the_package_follows_its_formats_and_loading_leaves_it_alone(model: CheckedModel) -> None:
    package = model.package
    for name, array in package.weights().items():
        judge.all_finite(array, name)
    model.load()
    judge.accepted("formats of a package", lambda: open_package(package.path))
    judge.unchanged("files", package.digest, open_package(package.path).digest)


@requirement("PKG-002")
def test_a_build_holds_the_weights_of_its_package(model: CheckedModel) -> None:
    shape = models.architecture(model.package)
    found = constants.held(
        models.tensors(model.package),
        model.graph_file,
        model.contract.weight,
        tied=shape.tied,
        offset=shape.norm_offset,
    )
    judge.same_tensors(found.differing, found.compared, found.unseen)


@requirement("PKG-003")
def test_a_build_holds_the_frequencies_of_its_config(model: CheckedModel) -> None:
    asked = rotations(models.architecture(model.package))
    for found in constants.frequencies(model.graph_file, {one.each_R.size for one in asked}):
        judge.same_frequencies(found.each_R, asked, model.contract, found.name)
