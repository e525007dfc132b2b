"""The deliver daemons: what release signed, and originals for an archive."""
