"""The description of the service: /api/v1/service."""
