"""The multiple-choice surface: /api/v1/mcq."""
