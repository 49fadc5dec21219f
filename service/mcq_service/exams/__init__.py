"""Exams: calibrate a model, and say how right it is."""
