"""The open conformance suite for LLM implementations."""

__version__ = "0.1.0"
