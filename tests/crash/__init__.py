"""Servers that are killed at the worst moments, and one checker of what their clients saw."""
