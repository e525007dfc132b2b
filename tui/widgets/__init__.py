"""What draws: each widget shows frozen values and computes nothing about slides."""
