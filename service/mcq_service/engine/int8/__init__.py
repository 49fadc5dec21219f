"""The int8 engine for CPUs: C++ behind a C interface."""
