// The three roles, once in each subscription that has members. Azure refuses a role with one action that it does not know.
targetScope = 'subscription'

@description('Allow the one-call preview too (strategy atomic). Its action is not documented.')
param atomic bool

var here = subscription().id
var common = [
  'Microsoft.Authorization/permissions/read'
]
var preview = atomic ? [
  'Microsoft.Network/virtualNetworks/moveIpConfigurations/action'
] : []
var nicActions = [
  'Microsoft.Network/networkInterfaces/read'
  'Microsoft.Network/networkInterfaces/write'
]
var joinActions = [
  'Microsoft.Network/virtualNetworks/subnets/read'
  'Microsoft.Network/virtualNetworks/subnets/join/action'
  'Microsoft.Network/networkSecurityGroups/join/action'
  'Microsoft.Network/publicIPAddresses/read'
  'Microsoft.Network/publicIPAddresses/join/action'
  'Microsoft.Network/applicationSecurityGroups/joinIpConfiguration/action'
  'Microsoft.Network/loadBalancers/backendAddressPools/join/action'
  'Microsoft.Network/loadBalancers/inboundNatRules/join/action'
  'Microsoft.Network/loadBalancers/frontendIPConfigurations/join/action'
  'Microsoft.Network/applicationGateways/backendAddressPools/join/action'
  'Microsoft.Network/virtualNetworkTaps/join/action'
]
var addressActions = [
  'Microsoft.Network/virtualNetworks/checkIpAddressAvailability/read'
]

resource nic 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'mirror-vip-nic')
  properties: {
    roleName: 'Mirror VIP: network interface (${subscription().subscriptionId})'
    description: 'Read and write the network interfaces it is assigned on.'
    type: 'CustomRole'
    assignableScopes: [
      here
    ]
    permissions: [
      {
        actions: concat(nicActions, common)
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

resource join 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'mirror-vip-join')
  properties: {
    roleName: 'Mirror VIP: what interfaces refer to (${subscription().subscriptionId})'
    description: 'Attach network interfaces to what they refer to: Azure checks each reference of a write.'
    type: 'CustomRole'
    assignableScopes: [
      here
    ]
    permissions: [
      {
        actions: concat(joinActions, common)
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

resource address 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'mirror-vip-address')
  properties: {
    roleName: 'Mirror VIP: virtual network (${subscription().subscriptionId})'
    description: 'Ask whether an address of the virtual network is in use.'
    type: 'CustomRole'
    assignableScopes: [
      here
    ]
    permissions: [
      {
        actions: concat(addressActions, preview)
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}
