"""POST /v1/decisions: typed questions in the form of OpenAI's Decisions API."""
