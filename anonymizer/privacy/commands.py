"""The command `coverslip privacy`: its actions, each in a file of its own."""

import argparse


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `coverslip privacy`."""
    from anonymizer.privacy.attack_command import register as register_attack
    from anonymizer.privacy.budget_command import register as register_budget
    from anonymizer.privacy.certify_command import register as register_certify
    from anonymizer.privacy.plan_command import register as register_plan
    from anonymizer.privacy.policies_command import register as register_policies
    from anonymizer.privacy.truth_command import register as register_truth

    privacy = subparsers.add_parser("privacy", help="what leaves in tiles, and what it gives away")
    actions = privacy.add_subparsers(title="actions", metavar="ACTION", required=True)
    register_attack(actions)
    register_truth(actions)
    register_certify(actions)
    register_plan(actions)
    register_budget(actions)
    register_policies(actions)
