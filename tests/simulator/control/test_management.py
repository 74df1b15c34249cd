"""The management API under /simulator."""

from typing import Any

import aiohttp

from simulator.server import Edge
from tests.simulator.client import PIP


async def test_management_changes_and_shows_everything(edge: Edge) -> None:
    """/simulator reads and changes switches, scripts, NICs, pages, VMs and the clock; faulty requests get 400 or 404."""
    cloud, base = edge.cloud, f"{edge.url}/simulator"
    async with aiohttp.ClientSession(headers={"Authorization": cloud.bearer()}) as session:

        async def call(method: str, path: str, body: Any = None, status: int = 200) -> Any:
            async with session.request(method, f"{base}/{path}", json=body) as answer:
                assert answer.status == status, await answer.text()
                return await answer.json()

        await call("PUT", "switches", {"latency": "fixed:7", "denied": [{"action": "x"}]})
        assert (await call("GET", "switches"))["denied"][0]["action"] == "x"
        await call("PUT", "switches", {"latencies": 1}, status=400)
        await call("PUT", "switches", {"released_at": "never"}, status=400)
        fault = {"kind": "status", "status": 500}
        await call("POST", "scripts", {"match": {"kind": "pip"}, "fault": fault, "times": 2})
        await call("POST", "scripts", {"fault": {"kind": "x"}}, status=400)
        async with session.get(f"{edge.url}{PIP}?api-version=2024-05-01") as answer:
            assert answer.status == 500
        assert (await call("GET", "scripts"))["value"][0]["struck"] == 1
        await call("DELETE", "scripts")
        etag = cloud.nic_named("mirrora290_z1").etag
        assert (await call("POST", "nics/mirrora290_z1", {"what": "changes-tag"}))["etag"] != etag
        await call("POST", "nics/none", {"what": "changes-tag"}, status=404)
        assert (await call("PUT", "pages/MIRRORB", {"mode": "primary"}))["MIRRORB"] == "primary"
        await call("PUT", "pages/MIRRORB", {"mode": "x"}, status=400)
        assert (await call("PUT", "vms/MIRRORA", {"state": "deallocated"}))["state"] == "deallocated"
        assert (await call("PUT", "clock", {"scale": 50}))["scale"] == 50
        await call("PUT", "clock", {"scale": 0}, status=400)
        assert (await call("GET", "carrier/10.0.0.254"))["carrier"] == "mirrora290_z1"
        assert (await call("GET", "history"))["value"][-1]["status"] == 500
        assert (await call("GET", "states"))["value"][-1]["cause"] == "stranger"
        assert len((await call("GET", "errors"))["value"]) > 40
        await call("GET", "operations")
        await call("GET", "nothing", status=404)
