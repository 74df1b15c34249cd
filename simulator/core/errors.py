"""The error answers of Azure by name (docs/facts/azure.md section 7): status, envelope and message.

A row's name is Azure's code. Where several rows share a code, a dot and a suffix tell them apart. `layer` decides the
envelope: `nrp` (Microsoft.Network) has `details`, possibly empty; `gateway` (ARM itself) has no `details` and the header
`x-ms-failure-cause: gateway`; `async` is the `error` of an operation that ended Failed or Canceled, in an answer with
status 200; `empty` has no body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.core.wire import Json

Layer = Literal["nrp", "gateway", "async", "empty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorKind:
    """One row. message: a format string, filled from the context. detail: code and format string of the one entry in `details`.

    status: HTTP; 200 for layer async. retry_after: whether the answer carries Retry-After (seconds from the context).
    """

    name: str
    status: int
    message: str = ""
    layer: Layer = "nrp"
    detail: tuple[str, str] | None = None
    retry_after: bool = False

    @property
    def code(self) -> str:
        """Azure's code: the name up to the first dot."""
        return self.name.partition(".")[0]


class Refused(Exception):
    """Raised for a request that Azure refuses. name: the row in ERRORS. context: values for its message."""

    def __init__(self, name: str, /, **context: object) -> None:
        super().__init__(name)
        self.kind = ERRORS[name]
        self.context = context


class Words(dict[str, object]):
    """Values for a message. A missing value becomes a plausible default, so that a test can produce every row by name."""

    def __missing__(self, key: str) -> object:
        return DEFAULTS.get(key, f"<{key}>")


_SUB: Final = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers"
DEFAULTS: Final[Mapping[str, object]] = {
    "config": f"{_SUB}/Microsoft.Network/networkInterfaces/nic-b/ipConfigurations/vip",
    "other": f"{_SUB}/Microsoft.Network/networkInterfaces/nic-a/ipConfigurations/vip",
    "nic": f"{_SUB}/Microsoft.Network/networkInterfaces/nic-b",
    "name": "nic-b",
    "pip_version": "IPv6",
    "version": "IPv4",
    "count": 257,
    "config_name": "ipconfig1",
    "pip": f"{_SUB}/Microsoft.Network/publicIPAddresses/my_vip_ip",
    "vm": f"{_SUB}/Microsoft.Compute/virtualMachines/vm",
    "vm_name": "vm",
    "vnet": f"{_SUB}/Microsoft.Network/virtualNetworks/vnet",
    "balancer": f"{_SUB}/Microsoft.Network/loadBalancers/lb",
    "resource": f"{_SUB}/Microsoft.Network/networkInterfaces/nic-b",
    "busy": f"{_SUB}/Microsoft.Compute/availabilitySets/av1",
    "used_by": "nic-b",
    "state": "Updating",
    "address": "10.0.0.254",
    "prefix": "10.0.0.0/24",
    "method": "PATCH",
    "zone": "1",
    "pip_zone": "Regional",
    "sku": "Standard",
    "other_sku": "Basic",
    "operation": "PutNicOperation",
    "last_operation": "InternalOperation",
    "operation_id": "00000000-0000-4000-a000-000000000000",
    "later_id": "00000000-0000-4000-a000-000000000001",
    "operation_url": "https://management.azure.com/subscriptions/00000000-0000-0000-0000-000000000000/providers/"
    "Microsoft.Network/locations/eastus/operations/00000000-0000-4000-a000-000000000000?api-version=2023-11-01",
    "seconds": 11,
    "minutes": 5,
    "limit": 1200,
    "call": "write",
    "subscription": "00000000-0000-0000-0000-000000000000",
    "client": "00000000-0000-0000-0000-00000000c11e",
    "principal": "00000000-0000-0000-0000-00000000001d",
    "action": "Microsoft.Network/networkInterfaces/write",
    "linked_action": "Microsoft.Network/virtualNetworks/subnets/join/action",
    "scope": f"{_SUB}/Microsoft.Network/networkInterfaces/nic-b",
    "linked_scope": f"{_SUB}/Microsoft.Network/virtualNetworks/vnet/subnets/default",
    "sent_etag": 'W/"00000000-0000-4000-a000-00000000000a"',
    "etag": 'W/"00000000-0000-4000-a000-00000000000b"',
    "expired": "1/1/2026 8:55:46 AM",
    "current": "1/1/2026 9:55:46 AM",
    "kind": "Microsoft.Network/networkInterfaces",
    "group": "rg",
    "api_version": "2023-11-01",
    "location": "eastus",
    "timestamp": "20260101T085546Z",
    "tracking": "00000000-0000-4000-a000-00000000000c",
    "correlation": "00000000-0000-4000-a000-00000000000d",
    "reason": "the body is not JSON",
}


def _row(name: str, status: int, message: str = "", **rest: object) -> tuple[str, ErrorKind]:
    return name, ErrorKind(name=name, status=status, message=message, **rest)  # type: ignore[arg-type]


_PENDING: Final = "A retryable error occurred."
_DIAGNOSTICS: Final = (
    "Diagnostic information: timestamp '{timestamp}', subscription id '{subscription}', "
    "tracking id '{tracking}', request correlation id '{correlation}'."
)

ERRORS: Final[Mapping[str, ErrorKind]] = dict(
    (
        # 400 on a NIC PUT
        _row("PrivateIPAddressIsAllocated", 400, "IP configuration {config} is using the private IP address {address}"
             " which is already allocated to resource {other}."),
        _row("PrivateIPAddressInUse", 400, "IP configuration {config} is using the same private IP address {address}"
             " as IP configuration {other}."),
        _row("PrivateIPAddressNotInSubnet", 400, "Private static IP address {address} does not belong to the range of"
             " subnet prefix {prefix}."),
        _row("PrivateIPAddressNotInAnySubnet", 400, "Private static IP address {address} does not belong to the range"
             " of any subnet in the virtual network {vnet}."),
        _row("PrivateIPAddressInReservedRange", 400, "Private static IP address {address} falls within reserved IP"
             " range of subnet prefix {prefix}."),
        _row("PrivateIPAddressMissing", 400, "Private IP address is required when privateIPAllocationMethod is Static"
             " in IP configuration {config}."),
        _row("PublicIPAddressInUse", 400, "Resource {config} is referencing public IP address {pip} that is already"
             " allocated to resource {other}."),
        _row("PublicIPReferencedByMultipleIPConfigs", 400, "Public IP address {pip} is referenced by multiple IP"
             " configurations."),
        _row("IPVersionForPublicIpAndNicIpConfigurationMustMatch", 400, "IP version for publicIPAddress '{pip}', version"
             " '{pip_version}' and network interface ipConfiguration '{config}', version '{version}' must match."),
        _row("NetworkInterfaceIPConfigurationLimitExceeded", 400, "Network interface {name} has {count} ip"
             " configurations; the limit is 256."),
        _row("ComputeResourceZoneConstraintDoesNotMatchPublicIPAddressZoneConstraint", 400, "Compute resource {vm} has"
             " a zone constraint {zone} but the PublicIPAddress {pip} used by the compute resource via NetworkInterface"
             " or LoadBalancer has a different zone constraint {pip_zone}."),
        _row("DifferentSkuLoadBalancersAndPublicIPAddressNotAllowed", 400, "Different basic sku and standard sku load"
             " balancer or public Ip resources in availability set is not allowed {pip} and {other}."),
        _row("PublicIPAndLBSkuDoNotMatch", 400, "{sku} sku load balancer {balancer} cannot reference {other_sku} sku"
             " publicIP {pip}."),
        _row("IpConfigDeleteNotSupported", 400, "IP Configuration {config_name} cannot be deleted. Deletion and"
             " renaming of primary IP Configuration is not supported"),
        _row("InvalidIPConfigCount", 400, "Network interface {name} must have one or more IP configurations."),
        _row("NetworkInterfaceMustHaveOneOneIPConfigAsPrimary", 400, "Network Interface {name} specifies multiple"
             " IPConfigurations but none of the IPConfigurations is specified as Primary."),
        _row("ApplicationGatewayLoadBalancingNotSupportedOnSecondaryIpConfigurations", 400, "Application gateway load"
             " balancing is not supported on secondary IP configuration {config}."),
        _row("InvalidResourceReference", 400, "Resource {resource} referenced by resource {nic} was not found. Please"
             " make sure that the referenced resource exists, and that both resources are in the same region."),
        _row("ReferencedResourceNotProvisioned", 400, "Cannot proceed with operation because resource {resource} used"
             " by resource {nic} is not in Succeeded state. Resource is in Failed state and the last operation that"
             " updated/is updating the resource is {last_operation}."),
        _row("ReferencedResourceNotProvisioned.Updating", 400, "Cannot proceed with operation because resource {busy} used"
             " by resource {used_by} is not in Succeeded state. Resource is in {state} state and the last operation that"
             " updated/is updating the resource is {last_operation}."),
        _row("NicReservedForAnotherVm", 400, "Nic(s) in request is reserved for another Virtual Machine for 180"
             " seconds. Please provide another nic(s) or retry after 180 seconds. Reserved VM: {vm}"),
        _row("NicReservedForAnotherVm.409", 409, "Nic(s) in request is reserved for another Virtual Machine for 180"
             " seconds. Please provide another nic(s) or retry after 180 seconds. Reserved VM: {vm}"),
        _row("NicInUse", 400, "Network Interface {nic} is used by existing resource {vm}. In order to delete the"
             " network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic."),
        _row("PublicIPAddressCannotBeDeleted", 400, "Public IP address {pip} can not be deleted since it is still"
             " allocated to resource {other}. In order to delete the public IP, disassociate/detach the Public IP"
             " address from the resource.  To learn how to do this, see aka.ms/deletepublicip."),
        _row("InUseSubnetCannotBeDeleted", 400, "Subnet {name} is in use by {other} and cannot be deleted. In order to"
             " delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet."),
        _row("InvalidRequestFormat", 400, "Cannot parse the request.", detail=("InvalidRequest", "{reason}")),
        # 429, 409, 412: another operation is running
        _row("RetryableError.RetryableErrorDueToAnotherOperation", 429, _PENDING, retry_after=True,
             detail=("RetryableErrorDueToAnotherOperation", ("Operation {operation} ({operation_id}) is updating"
                     " resource {resource}. The call can be retried in {seconds} seconds."))),
        _row("RetryableError.ReferencedResourceNotProvisioned", 429, _PENDING,
             detail=("ReferencedResourceNotProvisioned", ("Cannot proceed with operation because resource {busy} used by"
                     " resource {used_by} is not in Succeeded state. Resource is in {state} state and the last"
                     " operation that updated/is updating the resource is {last_operation}."))),
        _row("AnotherOperationInProgress", 409, "Another operation on this or dependent resource is in progress. To"
             " retrieve status of the operation use uri: {operation_url}."),
        _row("PreconditionFailed", 412, "Precondition failed.",
             detail=("PreconditionFailedEtagMismatch", ("Etag provided in if-match header {sent_etag} does not match"
                     " etag {etag} of resource {resource} in NRP data store."))),
        # 429: throttled
        _row("SubscriptionRequestsThrottled", 429, "Number of {call} requests for subscription '{subscription}'"
             " exceeded the limit of '{limit}' for time interval '01:00:00'. Please try again after '{minutes}'"
             " minutes.", layer="gateway", retry_after=True),
        _row("SubscriptionRequestsThrottled.Backend", 429, "Number of {call} requests for subscription"
             " '{subscription}' exceeded the backend storage limit. Please try again after '{seconds}' seconds.",
             layer="gateway", retry_after=True),
        _row("ResourceRequestsThrottled", 429, "Number of requests for action '{action}' exceeded the limit of"
             " '{limit}' for time interval '00:05:00'. Please try again after '{seconds}' seconds.", layer="gateway",
             retry_after=True),
        _row("RetryableErrorDueToTooManyCalls", 429, "Subscription {subscription} was used to perform too many calls"
             " within last 5 minutes. The number of calls exceeds Microsoft.Network throttling limit.",
             retry_after=True),
        # 401, 403, 404
        _row("AuthenticationFailed", 401, "Authentication failed. The 'Authorization' header is missing.",
             layer="gateway"),
        _row("ExpiredAuthenticationToken", 401, "The access token expiry UTC time '{expired}' is earlier than current"
             " UTC time '{current}'.", layer="gateway"),
        _row("InvalidAuthenticationToken", 401, "The access token is invalid.", layer="gateway"),
        _row("AuthorizationFailed", 403, "The client '{client}' with object id '{principal}' does not have"
             " authorization to perform action '{action}' over scope '{scope}' or the scope is invalid. If access was"
             " recently granted, please refresh your credentials.", layer="gateway"),
        _row("LinkedAuthorizationFailed", 403, "The client '{client}' with object id '{principal}' has permission to"
             " perform action '{action}' on scope '{scope}'; however, it does not have permission to perform action"
             " '{linked_action}' on the linked scope(s) '{linked_scope}' or the linked scope(s) are invalid.",
             layer="gateway"),
        _row("ResourceNotFound", 404, "The Resource '{kind}/{name}' under resource group '{group}' was not found. For"
             " more details please go to https://aka.ms/ARMResourceNotFoundFix", layer="gateway"),
        _row("ResourceGroupNotFound", 404, "Resource group '{group}' could not be found.", layer="gateway"),
        _row("SubscriptionNotFound", 404, "The subscription '{subscription}' could not be found.", layer="gateway"),
        _row("NotFound", 404, "Resource {resource} not found."),
        # malformed requests, refused by the gateway
        _row("MissingApiVersionParameter", 400, "The api-version query parameter (?api-version=) is required for all"
             " requests.", layer="gateway"),
        _row("InvalidRequestContent", 400, "The request content was invalid and could not be deserialized: '{reason}'.",
             layer="gateway"),
        _row("LocationRequired", 400, "The location property is required for this definition.", layer="gateway"),
        _row("HttpResourceNotFound", 404, "The request url is not found.", layer="gateway"),
        _row("MethodNotAllowed", 405, "The requested resource does not support http method '{method}'.",
             layer="gateway"),
        # moveIpConfigurations: our assumption, never seen (docs/facts/azure.md section 14)
        _row("NoRegisteredProviderFound", 400, "No registered resource provider found for location '{location}' and"
             " API version '{api_version}' for type 'virtualNetworks/moveIpConfigurations'. The supported api-versions"
             " are '2025-07-01, 2025-09-01, 2026-01-01, 2026-03-01'. The supported locations are '{location}'.",
             layer="gateway"),
        _row("SubscriptionNotRegisteredForFeature", 400, "Subscription {subscription} is not registered for feature"
             " Microsoft.Network/AllowMoveIpConfigurations required to carry out the requested operation."),
        _row("MoveIpConfigurationsPublicIPAddressNotSupported", 400, "IP configuration {config} references public IP"
             " address {pip} and cannot be moved."),
        _row("MoveIpConfigurationsInvalidRequest", 400, "The move of IP configuration {config} is not valid: {reason}"),
        # errors of operations that were accepted and failed later
        _row("InternalExecutionError", 200, "An internal execution error occurred. Please retry later.",
             layer="async"),
        _row("OperationNotAllowed", 200, "Operation 'startTenantUpdate' is not allowed on VM '{vm_name}' since the VM"
             " is marked for deletion. You can only retry the Delete operation (or wait for an ongoing one to"
             " complete).", layer="async"),
        _row("GwmOperationTimeOut", 200, "The operation timed out. Please retry later.", layer="async"),
        _row("AnotherOperationInProgress.Async", 200, "Another operation on this or dependent resource is in progress."
             " To retrieve status of the operation use uri: {operation_url}.", layer="async"),
        _row("Canceled", 200, "Operation was canceled.", layer="async",
             detail=("CanceledAndSupersededDueToAnotherOperation", ("Operation {operation} ({operation_id}) was canceled"
                     " and superseded by operation {last_operation} ({later_id})."))),
        # failures of the gateway
        _row("InternalServerError", 500, "Encountered internal server error. " + _DIAGNOSTICS, layer="gateway"),
        _row("ServerTimeout", 503, "The request timed out. " + _DIAGNOSTICS, layer="gateway"),
        _row("Empty.500", 500, layer="empty"),
        _row("Empty.503", 503, layer="empty"),
    )
)  # fmt: skip


def envelope(kind: ErrorKind, context: Mapping[str, object]) -> Json:
    """The error's JSON: {"error": {code, message[, details]}}, or for layer async the value of "error" alone."""
    words = Words(context)
    error: Json = {"code": kind.code, "message": kind.message.format_map(words)}
    if kind.layer != "gateway":
        detail = kind.detail
        error["details"] = [{"code": detail[0], "message": detail[1].format_map(words)}] if detail else []
    if kind.layer == "async":
        return error
    return {"error": error}
