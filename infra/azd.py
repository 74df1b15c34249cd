"""`python -m infra.azd`: write main.parameters.json for azd, which cannot load the two documents by itself."""

import json
import sys
from pathlib import Path
from typing import Final

from infra import mirrors

FOLDER: Final = Path(__file__).resolve().parent


def main(folder: Path = FOLDER) -> int:
    """Write the file; 1 with a sentence where the document is faulty or the list is missing."""
    try:
        values = {
            "environmentName": "${AZURE_ENV_NAME}",
            "location": "${AZURE_LOCATION}",
            "deployerId": "${AZURE_PRINCIPAL_ID}",
            "mirrors": mirrors.read(folder / "mirrors.json"),
            "access": json.loads((folder / "access.json").read_text(encoding="utf-8")),
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
