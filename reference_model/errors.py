"""What the reference model refuses."""

from __future__ import annotations


class ConfigError(ValueError):
    """A file of a model folder is none that the reference model understands completely."""


class RequestError(ValueError):
    """A request for text cannot be answered as it stands: an empty prompt, or one too long."""
