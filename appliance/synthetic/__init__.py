"""A seeded generator of H&E-like slides, written as a scanner would, with the truth known."""
