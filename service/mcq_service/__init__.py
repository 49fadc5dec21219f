"""Answers multiple-choice questions over HTTP with a language model."""
