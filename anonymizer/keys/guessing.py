"""Whether a key was made by chance: what a person types, or a program counts, is not."""

import itertools

_FEWEST_DIFFERENT_BYTES = 16  # 32 random bytes have fewer once in 10^15
_FEWEST_DIFFERENT_STEPS = 12
_LONGEST_PATTERN = 16
_PRINTABLE = frozenset(range(0x20, 0x7F))


def is_guessable(key: bytes) -> bool:
    """Whether 32 bytes have too few values, repeat, count up or down, or are plain text.

    A random key is taken for one of these less than once in 10^12.
    """
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    return (
        len(set(key)) < _FEWEST_DIFFERENT_BYTES
        or len(steps) < _FEWEST_DIFFERENT_STEPS
        or any(key[period:] == key[:-period] for period in range(1, _LONGEST_PATTERN + 1))
        or _PRINTABLE.issuperset(key)
    )
