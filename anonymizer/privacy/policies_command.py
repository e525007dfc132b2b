"""The command `coverslip privacy policies`: what each route may be told, by which mechanism."""

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # every command of ours registers this one: what it needs is imported as it runs
    from appliance.settings import Route


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `coverslip privacy policies`."""
    policies = subparsers.add_parser(
        "policies", help="what each route may be told, and what does not protect against whom"
    )
    policies.add_argument("--json", action="store_true", help="for scripts")
    policies.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the policy of every route, from the settings alone."""
    from appliance.settings import load

    blocks = [block_of(route) for route in load(arguments.settings).routes]
    if arguments.json:
        print(json.dumps(blocks, indent=1))
    elif not blocks:
        print("There is no route, so nothing leaves.")
    else:
        print("\n\n".join("\n".join(lines(block)) for block in blocks))
    return 0


def block_of(route: "Route") -> dict[str, Any]:
    """Give the policy of a route as values for a script."""
    from appliance.settings import ColouredTiles

    policy = route.policy
    aside = {"mechanism", "statement", "colludes_with"}
    block = {
        "route": route.name,
        "recipient": route.recipient,
        "place": route.place,
        "kind": route.kind,
        "carries": list(route.carries),
        "sees": "the true patient" if route.is_archive else policy.sees,
        "mechanism": policy.mechanism,
        "parameters": policy.model_dump(mode="json", exclude=aside),
        "limits": route.limits.model_dump(mode="json", exclude_none=True),
        "statement": policy.statement,
        "policy_digest": route.policy_digest,
    }
    if isinstance(policy, ColouredTiles):
        names = policy.colludes_with
        block["colludes_with"] = names if isinstance(names, str) else list(names)
        block["plan_digest"] = policy.plan_digest
    return block


def lines(block: dict[str, Any]) -> list[str]:
    """Write the policy of a route for a person."""
    said = [
        f"{block['route']}: to {block['recipient']} ({block['place']}, {block['kind']})",
        f"  carries       {', '.join(block['carries'])}",
        f"  sees          {block['sees']}",
        f"  mechanism     {block['mechanism']}",
    ]
    if block["parameters"]:
        said.append(f"  parameters    {_pairs(block['parameters'])}")
    if "colludes_with" in block:
        names = block["colludes_with"]
        words = "all outside" if names == "all" else ", ".join(names) or "nobody"
        said.append(f"  may collude   {words}")
    said.append(f"  limits        {_pairs(block['limits']) or 'none'}")
    said.append(f"  not protected {block['statement']}")
    said.append(f"  policy digest {block['policy_digest']}")
    if "plan_digest" in block:
        said.append(f"  plan digest   {block['plan_digest']}")
    return said


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
