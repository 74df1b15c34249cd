"""Run by another Python, with nothing of this repository but the unpacked package and serve/worker.py: `FOLDER WORKER`.

Starts the package as Azure does, in Microsoft's runtime out of the package, and prints as JSON what came up.
"""

import asyncio
import importlib.util
import json
import sys
from importlib.metadata import version
from pathlib import Path


async def main(folder: Path, worker_file: Path) -> None:
    """Index, ask for the health, print."""
    sys.path.insert(0, str(folder / ".python_packages/lib/site-packages"))
    spec = importlib.util.spec_from_file_location("host_worker", worker_file)
    assert spec is not None
    assert spec.loader is not None
    worker = importlib.util.module_from_spec(spec)
    sys.modules["host_worker"] = worker
    spec.loader.exec_module(worker)
    functions = await worker.load(folder)
    health = next(function for function in functions if function.name == "get_health")
    call = worker.HttpCall(
        method="GET",
        url="http://127.0.0.1/api/health",
        headers={},
        query={},
        params={},
        body=b"",
        traceparent=worker.traceparent(),
    )
    answer = await asyncio.create_task(worker.call_http(health, call))
    import azure_functions_runtime

    from vipcore.adapters import wiring  # every SDK that the app uses

    found = {
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "runtime": version("azure-functions-runtime"),
        "runtime_from": str(Path(azure_functions_runtime.__file__)),
        "app_from": str(Path(wiring.__file__)),
        "functions": sorted(function.name for function in functions),
        "status": answer.status,
        "version": dict(answer.headers).get("x-mirror-vip-version"),
        "health": json.loads(answer.body),
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
