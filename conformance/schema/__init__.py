"""JSON documents: a strict loader, the project's schemas, and canonical writing.

A document passes layers, and a failing layer stops the next: L0 bytes, L1 JSON grammar, L2 schema
(all here), L3 meaning (``conformance.formats``). Every refusal is a ``FormatError`` whose code
starts with its layer. Nothing here knows any one format.
"""

from conformance.schema.reading import DOCUMENT, MAX_INTEGER, Limits, load, parse, pointer
from conformance.schema.validation import SCHEMAS, kinds, schema_of, validate
from conformance.schema.writing import dump, plain

__all__ = [
    "DOCUMENT",
    "MAX_INTEGER",
    "SCHEMAS",
    "Limits",
    "dump",
    "kinds",
    "load",
    "parse",
    "plain",
    "pointer",
    "schema_of",
    "validate",
]
