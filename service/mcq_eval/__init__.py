"""Exams: measure and calibrate the service with questions that have known answers."""
