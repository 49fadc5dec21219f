"""The model's output as a YAML document, and its strict parser.

    answer: "B"
    reasoning: "One line."

The keys and quotes are forced: they are tokens of the model's sequence that the model did not choose. The letter is
the choice with the highest probability (`mcq.decision`), and the model writes the line. Models forget to escape
quotes, and add keys or lines if they can. So `line` reads the written tokens leniently, `document` writes the result
as YAML with correct escapes, and `parse` checks the document before a client gets it, as any reader of YAML would.

The parser therefore never refuses a model's answer. It only finds our own defects: a letter that was not offered, or a
line that `document` did not quote. The request then ends with 500, and `mcq_requests_total` counts it with the outcome
`internal-error`.
"""

from mcq_service.yaml_output.document import REASONING_KEY, document, parse
from mcq_service.yaml_output.line import Line

__all__ = ["REASONING_KEY", "Line", "document", "parse"]
