"""`python -m infra.check`: every fault of infra/*.bicep that can be known without Azure; exit 1 if there is one."""

import sys

from infra.check.cases import CASES, faults

found = list(faults())
for fault in found:
    sys.stderr.write(f"{fault}\n")
sys.stdout.write(f"infra/*.bicep: {len(CASES)} deployments, {len(found)} faults\n")
sys.exit(bool(found))
