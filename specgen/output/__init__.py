"""Folders of a build: complete or not at all."""
