"""Exams: measure and calibrate the service by questions with known answers."""
