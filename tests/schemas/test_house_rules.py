"""The rules that every schema follows, read off the schemas."""

import dataclasses
import re

import jsonschema_rs
import pytest
from jsonschema import Draft202012Validator

from conformance import records, schema

NO_EXTENSION = {
    "hf-config",
    "bert-config",
    "t5-config",
    "marian-config",
    "safetensors-index",
    "safetensors-header",
}
"""Formats of others."""


def nodes(value, path=()):
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from nodes(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from nodes(item, (*path, i))


NAMES = ("properties", "$defs")
TESTS = {"not", "if"}  # schemas that only ask, and admit nothing


def is_names(path):
    """Return whether a path leads to a map from names to schemas, not to a schema."""
    return path[-1:] in {(name,) for name in NAMES} and path[-2:-1] != path[-1:]


def sub_schemas(kind):
    """Return the (path, schema) pairs of a schema that admit something."""
    found = nodes(schema.schema_of(kind))
    return [(p, n) for p, n in found if not is_names(p) and not TESTS & set(p)]


def types_of(node):
    types = node.get("type", [])
    return {types} if isinstance(types, str) else set(types)


@pytest.fixture(params=schema.kinds())
def kind(request):
    return request.param


def test_schema_is_valid_by_two_validators(kind):
    document = schema.schema_of(kind)
    Draft202012Validator.check_schema(document)
    assert jsonschema_rs.meta.is_valid(document)


def test_head_names_dialect_and_version(kind):
    document = schema.schema_of(kind)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert re.fullmatch(
        rf"https://llm-conformance\.example/schemas/{re.escape(kind)}/[0-9]+\.[0-9]+\.json",
        document["$id"],
    )
    assert document["title"]
    assert document["description"]
    assert {"x-profile", "x-aligns", "x-requirements"} <= set(document)
    for upstream in document["x-aligns"]:
        assert {"uri", "version"} <= set(upstream) <= {"uri", "version", "sha256"}
        assert re.fullmatch("[0-9a-f]{64}", upstream.get("sha256", "0" * 64))


def test_objects_are_closed(kind):
    for path, node in sub_schemas(kind):
        if "object" in types_of(node) and path[-1:] != ("x",):
            by_reference = node.get("if") == {"type": "object"} and "then" in node
            values = node.get("additionalProperties")
            closed = node.get("unevaluatedProperties") is False or isinstance(values, dict)
            assert closed or by_reference, path
            assert "properties" in node or "unevaluatedProperties" not in node, path


def test_only_own_documents_have_extensions(kind):
    assert ("x" in schema.schema_of(kind)["properties"]) == (kind not in NO_EXTENSION)


def test_everything_is_bounded(kind):
    for path, node in sub_schemas(kind):
        types = types_of(node)
        if "integer" in types:
            assert -schema.MAX_INTEGER <= node["minimum"] <= node["maximum"], path
            assert node["maximum"] <= schema.MAX_INTEGER, path
        if "string" in types:
            assert node["maxLength"] >= 1, path
        if "array" in types:
            assert node["maxItems"] >= 1, path
        if "additionalProperties" in node:
            assert node["maxProperties"] >= 1, path


def test_patterns_mean_the_same_in_every_dialect(kind):
    for path, node in sub_schemas(kind):
        pattern = node.get("pattern")
        if pattern is None:
            continue
        assert not re.search(r"\\[dwsWDSbBpP]|\(\?", pattern), path
        if pattern.endswith("$"):  # Python's $ matches before a last newline
            assert node["not"] == {"type": "string", "pattern": "[\\r\\n]"}, path
            assert pattern.startswith("^"), path


def test_unportable_keywords_are_absent(kind):
    banned = {"format", "definitions", "nullable", "$dynamicRef", "contentEncoding", "anyOf"}
    for path, node in sub_schemas(kind):
        assert not banned & set(node), path
        step = node.get("multipleOf", 1)
        assert step == int(step), path
        assert not (node.get("uniqueItems") and "number" in types_of(node.get("items", {}))), path


def test_references_lead_to_our_own_definitions(kind):
    known = {schema.schema_of(name)["$id"]: schema.schema_of(name) for name in schema.kinds()}
    for path, node in sub_schemas(kind):
        if "$ref" in node:
            base, _, fragment = node["$ref"].partition("#")
            target = known[base or schema.schema_of(kind)["$id"]]
            for part in fragment.split("/")[1:]:
                target = target[part]
            assert isinstance(target, dict), path


def names_of(record):
    return {field.name for field in dataclasses.fields(record)}


REPORT = schema.schema_of("report")


@pytest.mark.parametrize(
    ("record", "node"),
    [
        (records.Requirement, schema.schema_of("requirements")["$defs"]["requirement"]),
        (records.Contract, REPORT["$defs"]["contract"]),
        (records.NoiseUnit, REPORT["$defs"]["noise"]),
        (records.Run, REPORT["properties"]["run"]),
        (records.ModelRecord, REPORT["$defs"]["model"]),
        (records.Against, REPORT["$defs"]["against"]),
        (records.CaseResult, REPORT["$defs"]["case"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_schema_has_the_fields_of_its_record(record, node):
    assert set(node["properties"]) == names_of(record)


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("profile", records.Profile),
        ("claims", records.Claims),
        ("candidate", records.CandidateInfo),
    ],
)
def test_a_document_of_its_own_has_the_fields_of_its_record(kind, record):
    assert set(schema.schema_of(kind)["properties"]) == {*names_of(record), "x"}


def test_measurement_adds_its_headroom():
    fields = set(REPORT["$defs"]["measurement"]["properties"])
    assert fields == {*names_of(records.Measurement), "headroom"}


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("verdict", [verdict.name for verdict in records.Verdict]),
        ("outcome", [outcome.value for outcome in records.Outcome]),
        ("level", [level.value for level in records.Level]),
        ("oracle", [oracle.value for oracle in records.Oracle]),
    ],
)
def test_words_are_those_of_the_records(definition, words):
    assert schema.schema_of("common")["$defs"][definition]["enum"] == words
