"""The front of ARM: malformed requests, and the history of all requests."""

from simulator.core.wire import Request
from simulator.front.front import handle
from tests.simulator.client import NIC_A, Client, error_of


def test_the_history_tells_who_asked_what_and_what_came_of_it() -> None:
    """The history has the principal, status, code, ids and etags before and after of every request."""
    client = Client()
    client.detach()
    client.attach()

    put, _, refused = list(client.cloud.history)[1:]
    assert (put.method, put.who, put.status, put.kind) == ("PUT", "controller", 200, "nic")
    assert put.operation_id == put.request_id
    assert put.etag_before != put.etag_after
    assert (refused.status, refused.code, refused.etag_before) == (400, "PrivateIPAddressIsAllocated", refused.etag_after)


def test_bodies_and_paths_that_are_no_arm_are_refused_by_the_gateway() -> None:
    """Invalid JSON, a missing api-version, and an unknown path, method, resource, group or subscription have their own errors."""
    client = Client()
    ask = client.ask

    def raw(method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        sent = {"authorization": client.cloud.bearer(), **headers}
        return error_of(handle(client.cloud, Request(method, target, sent, body)))

    assert raw("PUT", f"{NIC_A}?api-version=2024-05-01", b"{") == (400, "InvalidRequestContent")
    assert raw("GET", NIC_A) == (400, "MissingApiVersionParameter")
    assert raw("GET", "/nothing") == (404, "HttpResourceNotFound")
    assert error_of(ask("POST", NIC_A)) == (405, "MethodNotAllowed")
    assert error_of(ask("GET", NIC_A + "x")) == (404, "ResourceNotFound")
    assert error_of(ask("GET", NIC_A.replace("/rg/", "/rx/"))) == (404, "ResourceGroupNotFound")
    assert error_of(ask("GET", NIC_A.replace("0000-0000", "0000-0001"))) == (404, "SubscriptionNotFound")
    assert raw("GET", f"{NIC_A}?api-version=2024-05-01", authorization="Bearer x") == (401, "InvalidAuthenticationToken")
    assert raw("GET", f"{NIC_A}?api-version=2024-05-01", authorization="") == (401, "InvalidAuthenticationToken")
