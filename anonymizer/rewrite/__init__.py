"""Attribute by attribute: a plan, and the new data set that comes of it."""
