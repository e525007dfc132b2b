"""Judging slides from folders, without a line."""
