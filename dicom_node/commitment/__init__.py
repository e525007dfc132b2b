"""Storage Commitment Push Model as SCP (PS3.4 J): asked, decided, answered."""
