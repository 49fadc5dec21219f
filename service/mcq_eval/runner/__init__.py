"""Ask the questions of an exam, and score them for a calibration."""
