// One assignment on one resource. Bicep has no untyped scope, so there is one pair for each type that a NIC can refer to.
@description('Resource id of what is granted on; it is in this resource group.')
param id string
param principalId string
param role string

var parts = split(id, '/')
var kind = toLower('${parts[6]}/${parts[7]}${length(parts) > 9 ? '/${parts[9]}' : ''}')
var definition = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', guid(subscription().id, role))
var properties = {
  roleDefinitionId: definition
  principalId: principalId
  principalType: 'ServicePrincipal'
}

resource nic 'Microsoft.Network/networkInterfaces@2025-05-01' existing = if (kind == 'microsoft.network/networkinterfaces') {
  name: parts[8]
}
resource onNic 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (kind == 'microsoft.network/networkinterfaces') {
  name: guid(id, principalId, definition)
  scope: nic
  properties: properties
}

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' existing = if (kind == 'microsoft.network/virtualnetworks') {
  name: parts[8]
}
resource onNetwork 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (kind == 'microsoft.network/virtualnetworks') {
  name: guid(id, principalId, definition)
  scope: network
  properties: properties
}

resource subnet 'Microsoft.Network/virtualNetworks/subnets@2025-05-01' existing = if (kind == 'microsoft.network/virtualnetworks/subnets') {
  name: '${parts[8]}/${last(parts)}'
}
resource onSubnet 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (kind == 'microsoft.network/virtualnetworks/subnets') {
  name: guid(id, principalId, definition)
  scope: subnet
  properties: properties
}

resource securityGroup 'Microsoft.Network/networkSecurityGroups@2025-05-01' existing = if (kind == 'microsoft.network/networksecuritygroups') {
  name: parts[8]
}
resource onSecurityGroup 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (kind == 'microsoft.network/networksecuritygroups') {
  name: guid(id, principalId, definition)
  scope: securityGroup
  properties: properties
}

resource address 'Microsoft.Network/publicIPAddresses@2025-05-01' existing = if (kind == 'microsoft.network/publicipaddresses') {
  name: parts[8]
}
resource onAddress 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (kind == 'microsoft.network/publicipaddresses') {
  name: guid(id, principalId, definition)
  scope: address
  properties: properties
}

resource applicationGroup 'Microsoft.Network/applicationSecurityGroups@2025-05-01' existing = if (kind == 'microsoft.network/applicationsecuritygroups') {
  name: parts[8]
}
resource onApplicationGroup 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (kind == 'microsoft.network/applicationsecuritygroups') {
  name: guid(id, principalId, definition)
  scope: applicationGroup
  properties: properties
}

resource balancer 'Microsoft.Network/loadBalancers@2025-05-01' existing = if (kind == 'microsoft.network/loadbalancers') {
  name: parts[8]
}
resource onBalancer 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (kind == 'microsoft.network/loadbalancers') {
  name: guid(id, principalId, definition)
  scope: balancer
  properties: properties
}

resource gateway 'Microsoft.Network/applicationGateways@2025-05-01' existing = if (kind == 'microsoft.network/applicationgateways') {
  name: parts[8]
}
resource onGateway 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (kind == 'microsoft.network/applicationgateways') {
  name: guid(id, principalId, definition)
  scope: gateway
  properties: properties
}

resource tap 'Microsoft.Network/virtualNetworkTaps@2025-05-01' existing = if (kind == 'microsoft.network/virtualnetworktaps') {
  name: parts[8]
}
resource onTap 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (kind == 'microsoft.network/virtualnetworktaps') {
  name: guid(id, principalId, definition)
  scope: tap
  properties: properties
}
