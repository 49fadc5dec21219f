"""The result of an exam as a document, as tables and as a page."""
