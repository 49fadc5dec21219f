"""The programs of developers and CI."""
