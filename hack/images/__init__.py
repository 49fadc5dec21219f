"""Container images: our own two, and those of other projects' programs."""
