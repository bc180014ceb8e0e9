"""The one error of the reference model's readers."""

from __future__ import annotations


class ConfigError(ValueError):
    """A model folder is no decoder that the reference model understands completely."""
