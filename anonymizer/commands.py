"""Commands of the anonymizer; each part registers its own."""

import argparse


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the sub-commands."""
    from anonymizer.deidentify.commands import register as register_deidentify
    from anonymizer.keys.commands import register as register_keys
    from anonymizer.privacy.commands import register as register_privacy
    from anonymizer.release.commands import register as register_release

    register_deidentify(subparsers)
    register_keys(subparsers)
    register_privacy(subparsers)
    register_release(subparsers)
