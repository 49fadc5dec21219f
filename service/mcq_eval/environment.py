"""The environment variables of the commands, beside the service's MCQ_* settings."""

KEY_VARIABLE = "MCQ_API_KEY"
"""The API key of the service to ask."""
