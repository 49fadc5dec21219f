"""Container images, built with docker or buildah, whichever is there."""
