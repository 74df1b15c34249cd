"""Microsoft's worker runtime (azure-functions-runtime 1.3.0) in this process: index an app, invoke its functions.

Indexing, binding checks, decoding, invoking and encoding are theirs; this file only says to them what the Functions
host would say. They want the classes of a protobuf module; classes that keep their keyword arguments do. The native
invocation is not in the package's `__all__`, which is one reason why its version is pinned. One app per process: the
runtime keeps its registry in a module.
"""

import importlib
import json
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

SUCCESS: Final = 1


class AppError(RuntimeError):
    """The app could not be imported or indexed; the message is the runtime's own, with the stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """An indexed function: its trigger binding is what `raw_bindings` said, e.g. type, route, methods, authLevel."""

    name: str
    id: str
    trigger: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """`httpTrigger`, `timerTrigger`, ..."""
        return str(self.trigger["type"])


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """An HTTP request as the host hands it over; `params` are the route's values."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    params: Mapping[str, str]
    body: bytes
    traceparent: str
    tracestate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What a function answered; a function that raised answers 500 with an empty body."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class _Message:
    """Stands in for a protobuf message: it keeps its keyword arguments."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


def _enum(**values: int) -> type[_Message]:
    """Some of protobuf's names are called like a message and read like an enum."""
    return type("_Enum", (_Message,), values)


_PROTOS: Final = SimpleNamespace(
    BindingInfo=_enum(undefined=0, out=1, inout=2),
    StatusResult=_enum(Failure=0, Success=1, Cancelled=2),
    WorkerInitResponse=_Message,
    WorkerMetadata=_Message,
    RpcFunctionMetadata=_Message,
    FunctionMetadataResponse=_Message,
    FunctionLoadResponse=_Message,
    RpcException=_Message,
    RpcRetryOptions=_Message,
)


async def load(folder: Path) -> list[Function]:
    """Import and index the app in `folder`, which becomes the working directory, as in Azure. Raises AppError."""
    import azure_functions_runtime as runtime  # late: its import is part of the start that --help need not pay

    sys.path.insert(0, str(folder))
    os.chdir(folder)
    runtime.start_threadpool_executor()
    init = SimpleNamespace(capabilities={}, function_app_directory=str(folder))
    properties = {"host": "127.0.0.1", "protos": _PROTOS}
    request = SimpleNamespace(properties=properties, request=SimpleNamespace(worker_init_request=init))
    for response in (await runtime.worker_init_request(request), await runtime.functions_metadata_request(request)):
        if response.result.status != SUCCESS:
            fault = response.result.exception
            raise AppError(f"{fault.message}\n{fault.stack_trace}")
    return [_function(metadata) for metadata in response.function_metadata_results]


async def call_http(function: Function, call: HttpCall) -> HttpAnswer:
    """Invoke an HTTP function. Run it as an asyncio task of its own: the invocation id is a context variable."""
    datum = _datum_type()
    http = datum(
        {
            "method": datum(call.method, "string"),
            "url": datum(call.url, "string"),
            "headers": {name: datum(value, "string") for name, value in call.headers.items()},
            "query": {name: datum(value, "string") for name, value in call.query.items()},
            "params": {name: datum(value, "string") for name, value in call.params.items()},
            "body": datum(call.body, "bytes"),
        },
        "http",
    )
    ok, value = await _invoke(function, http, call.traceparent, call.tracestate)
    return _http_answer(value) if ok else HttpAnswer(status=500, headers=(), body=b"")


async def call_timer(function: Function, *, last: datetime | None, upcoming: datetime | None, past_due: bool) -> bool:
    """Invoke a timer function, as a task of its own; whether it ended without an exception (which is logged)."""
    status = None if last is None else {"Last": last.isoformat(), "LastUpdated": last.isoformat()}
    if status is not None and upcoming is not None:
        status["Next"] = upcoming.isoformat()
    timer = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
    ok, _ = await _invoke(function, _datum_type()(json.dumps(timer), "json"), traceparent(), "")
    return ok


def traceparent() -> str:
    """A new W3C trace context, which the host always has where the client sent none."""
    return f"00-{uuid.uuid4().hex}-{os.urandom(8).hex()}-01"


async def _invoke(function: Function, datum: Any, parent: str, state: str) -> tuple[bool, Any]:
    from azure_functions_runtime.native_invocation import invocation_request_native  # late, as above

    inputs = [(str(function.trigger["name"]), datum)]
    ok, value, _, _, _ = await invocation_request_native(str(uuid.uuid4()), function.id, inputs, {}, parent, state)
    return bool(ok), value


def _http_answer(value: Any) -> HttpAnswer:
    """A plain string or bytes is 200; nothing at all is 204."""
    if value is None or value.value is None:
        return HttpAnswer(status=204, headers=(), body=b"")
    if value.type != "http":
        body = value.value if isinstance(value.value, bytes) else str(value.value).encode()
        return HttpAnswer(status=200, headers=(("content-type", "text/plain; charset=utf-8"),), body=body)
    fields = value.value
    sent = [(name, header.value) for name, header in fields["headers"].items()]
    # The runtime hands cookies over parsed; each is a header of its own.
    sent += [("set-cookie", str(cookie).partition(": ")[2]) for cookie in fields.get("cookies") or ()]
    status = str(fields["status_code"].value)
    # The host takes a status that it can't parse for 200.
    return HttpAnswer(status=int(status) if status.isdecimal() else 200, headers=sent, body=fields["body"].value or b"")


def _function(metadata: Any) -> Function:
    bindings = [json.loads(text) for text in metadata.raw_bindings]
    trigger = next(binding for binding in bindings if binding["type"].endswith("Trigger"))
    return Function(name=metadata.name, id=metadata.function_id, trigger=trigger)


def _datum_type() -> Any:
    return importlib.import_module("azure_functions_runtime.bindings.datumdef").Datum
