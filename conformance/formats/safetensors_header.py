"""Headers of safetensors files as JSON documents; the files themselves are kind ``safetensors``."""

from conformance.formats.safetensors import check

__all__ = ["check"]
