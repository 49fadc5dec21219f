"""The model's output, a YAML document: written with forced keys and quotes, and parsed strictly."""

from mcq_service.yaml_output.document import REASONING_KEY, Parsed, UnparsableOutput, document, parse
from mcq_service.yaml_output.line import Line

__all__ = ["REASONING_KEY", "Line", "Parsed", "UnparsableOutput", "document", "parse"]
