"""Exams: files of questions with known answers."""
