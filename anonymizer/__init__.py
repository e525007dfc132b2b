"""De-identification and release: the two stages between the hospital and everyone else."""
