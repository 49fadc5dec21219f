"""The HTTP API: a folder for each surface, with its router and schemas, and HTTP's common parts in `http`."""
