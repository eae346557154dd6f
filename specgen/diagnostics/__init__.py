"""Faults for users: codes, places, texts."""
