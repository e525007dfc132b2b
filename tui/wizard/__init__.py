"""The first run: asks what a laboratory has, and writes settings, keys and a proof of each peer."""
