"""`lazulite principal`: identities for programs and colleagues, with a role each."""

from __future__ import annotations

import argparse
import json
import os
import sys

from lazulite.cli import client, shells
from lazulite.cli.errors import OK
from lazulite.cli.home import Server, home_folder, required_server
from lazulite.cli.variables import Changes

ROLES = ("Owner", "Contributor", "Reader", "AzureML Data Scientist", "AzureML Registry User")


def create(arguments: argparse.Namespace) -> int:
    server = required_server(home_folder(arguments.home))
    made = client.create_principal(server, arguments.name, arguments.role, arguments.scope)
    if arguments.json:
        print(json.dumps(made, indent=2))
        return OK
    shell = arguments.shell or shells.detected(os.environ)
    print(shells.script(Changes(credentials(server, made), ()), shell))
    print(
        f"# {arguments.name} is {arguments.role} on {arguments.scope or 'everything'}. Set these beside what "
        "`lazulite env` prints; the secret is not shown again.",
        file=sys.stderr,
    )
    return OK


def credentials(server: Server, made: dict[str, object]) -> dict[str, str]:
    """The variables with which azure-identity signs in as the new principal."""
    return {
        "AZURE_AUTHORITY_HOST": server.https_url,
        # With this tenant MSAL asks the authority alone, and not Microsoft's servers about it.
        "AZURE_TENANT_ID": str(made.get("tenant", "adfs")),
        "AZURE_CLIENT_ID": str(made["id"]),
        "AZURE_CLIENT_SECRET": str(made["secret"]),
    }


def show(arguments: argparse.Namespace) -> int:
    found = client.principals(required_server(home_folder(arguments.home)))
    if arguments.json:
        print(json.dumps(found, indent=2))
        return OK
    print(f"{'ID':<38}{'NAME':<22}{'KIND':<18}ROLES")
    for one in found:
        roles = ", ".join(f"{held['role']} on {held['scope']}" for held in one.get("roles", [])) or "none"
        print(f"{one['id']:<38}{one['name']:<22}{one.get('kind', ''):<18}{roles}")
    return OK


def delete(arguments: argparse.Namespace) -> int:
    client.delete_principal(required_server(home_folder(arguments.home)), arguments.id)
    print(f"Deleted principal {arguments.id}.")
    return OK
