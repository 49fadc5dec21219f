"""POST /v1/systemone: typed questions in the form of TypeSafe's System One API."""
