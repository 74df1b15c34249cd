"""`python -m infra.azd`: write main.parameters.json for azd, which cannot load the two documents by itself.

What else main.bicepparam would say comes from `azd env set`: MIRROR_VIP_PROFILE, MIRROR_VIP_ALERT_EMAILS (with spaces between),
MIRROR_VIP_DEPLOY_ACCESS (false: somebody else deploys access.bicep).
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from infra import mirrors

FOLDER: Final = Path(__file__).resolve().parent


def chosen(environment: Mapping[str, str]) -> dict[str, object]:
    """The parameters that were set with `azd env set`; those that were not keep the template's defaults."""
    found = dict[str, object]()
    if "MIRROR_VIP_PROFILE" in environment:
        found["profile"] = environment["MIRROR_VIP_PROFILE"]
    if "MIRROR_VIP_ALERT_EMAILS" in environment:
        found["alertEmails"] = environment["MIRROR_VIP_ALERT_EMAILS"].split()
    if "MIRROR_VIP_DEPLOY_ACCESS" in environment:
        found["deployAccess"] = environment["MIRROR_VIP_DEPLOY_ACCESS"].lower() != "false"
    return found


def main(argv: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Write the file; 1 with a sentence where the document is faulty or the list is missing."""
    argparse.ArgumentParser(
        prog="python -m infra.azd", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(argv)
    try:
        values = {
            "environmentName": "${AZURE_ENV_NAME}",
            "location": "${AZURE_LOCATION}",
            "deployerId": "${AZURE_PRINCIPAL_ID}",
            "mirrors": mirrors.read(folder / "mirrors.json"),
            "access": json.loads((folder / "access.json").read_text(encoding="utf-8")),
            **chosen(os.environ),
        }
    except (OSError, mirrors.DocumentError) as fault:
        print(f"no parameters were written: {fault}", file=sys.stderr)
        return 1
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#"
    document = {"$schema": schema, "contentVersion": "1.0.0.0", "parameters": {k: {"value": v} for k, v in values.items()}}
    (folder / "main.parameters.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
