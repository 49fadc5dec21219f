"""Fit a calibration to a model's scores."""
