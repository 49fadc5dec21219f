"""HTTP for every surface: middleware, errors, server-sent events, JSON bodies."""
