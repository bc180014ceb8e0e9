"""What the adapters' tests share: the candidates, and one small package with its ONNX build."""

from __future__ import annotations

import importlib
from contextlib import ExitStack

import pytest

from conformance.candidate import built_in_adapters
from conformance.package import open_package
from reference_model.builds import BUILDS
from reference_model.export import write_onnx
from reference_model.package import write_package
from reference_model.zoo import MODELS

ADAPTERS = [name for name in built_in_adapters() if name not in ("mutant", "tokenizers")]
"""But the mutants, which are wrong on purpose, and what has no models."""
OPTIONS = {"openvino": {"precision": "f32"}}
"""Where a runtime computes in float32 only when it is told to: on some CPUs it takes bfloat16."""


@pytest.fixture(scope="module", params=ADAPTERS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def candidates():
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                importlib.import_module(f"conformance.adapters.{name}").open(
                    "", OPTIONS.get(name, {})
                )
            )
            for name in ADAPTERS
        }


@pytest.fixture(scope="module")
def candidate(name, candidates):
    return candidates[name]


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages") / "llama-mqa-tied"
    write_package(MODELS["llama-mqa-tied"], folder)

    def build(package, file):
        built = folder.with_name(file)
        if not built.exists():
            write_onnx(package.path, built, BUILDS[file])
        return built

    return open_package(folder, builder=build)
