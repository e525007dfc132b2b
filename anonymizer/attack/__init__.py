"""The attacker: what could whoever receives tiles rebuild? Pure; knows no key and no vault."""
