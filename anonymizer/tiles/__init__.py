"""Tiles: which of a slide may leave, how they are cut, where they wait, and what they travel in."""
