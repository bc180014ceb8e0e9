"""The model package as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import judge
from conformance.checks import requirement
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
