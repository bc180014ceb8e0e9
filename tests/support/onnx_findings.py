"""What the audit of ONNX found, in sentences for the maintainers of onnx and of ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass

FINDINGS = ()
ACCEPTED = ()
