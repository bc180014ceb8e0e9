"""Formats are found by their kind, and check files through all layers."""

import json

import pytest

from conformance import formats, schema
from conformance.errors import FormatError, UsageError
from conformance.formats import hf_config
from reference_model import config_keys


def test_kinds_are_the_schemas_and_the_binary_formats():
    assert set(formats.kinds()) == {*schema.kinds(), "safetensors"}


def test_unknown_kind_is_told_with_the_nearest(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'hf-config'"):
        formats.check_file("hf-konfig", tmp_path / "a.json")


def test_error_carries_the_name_of_the_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(FormatError, match=r"config\.json: at /model_type: is \"bert\""):
        formats.check_file("hf-config", tmp_path / "config.json")


@pytest.mark.parametrize("kind", sorted({*schema.kinds()} - {"safetensors-index"}))
def test_valid_examples_pass_as_files(kind):  # an index leans on shards; its own tests have them
    for path in (schema.SCHEMAS / "examples" / kind / "valid").glob("*.json"):
        formats.check_file(kind, path)


def test_the_keys_that_a_refusal_names_are_those_that_are_read():
    assert set(hf_config.READ) == config_keys.READ
