"""The engine that is another OpenAI-compatible server."""
