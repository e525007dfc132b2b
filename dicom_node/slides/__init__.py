"""From objects to slides on the line, and what becomes of the originals."""
