// The rights on the members' network, alone: a security team can deploy this file, and read it in a minute.
targetScope = 'subscription'

@description('Object id of the controller\'s identity.')
param principalId string

@description('What infra/access.py wrote: [{"id": resource id, "role": "mirror-vip-nic", "mirror-vip-join" or "mirror-vip-address", "why": for people}].')
param grants array

@description('Allow the one-call preview too (strategy atomic).')
param atomic bool = false

var subscriptions = union(map(grants, item => toLower(split(item.id, '/')[2])), [])

module roles 'modules/roles.bicep' = [for id in subscriptions: {
  name: 'mirror-vip-roles-${deployment().location}' // a name belongs to the region that it was first deployed from
  scope: subscription(id)
  params: {
    atomic: atomic
  }
}]

module grant 'modules/grant.bicep' = [for item in grants: {
  name: 'mirror-vip-${uniqueString(toLower(item.id), principalId)}'
  scope: resourceGroup(split(item.id, '/')[2], split(item.id, '/')[4])
  params: {
    id: item.id
    principalId: principalId
    role: item.role
  }
  dependsOn: [
    roles
  ]
}]
