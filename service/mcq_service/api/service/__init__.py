"""What the service is and offers: /api/v1/service."""
