// The one identity that may write NICs. Its rights exist before the app does, and survive a re-creation of the app.
param name string
param location string
param tags object
param identityId string

resource made 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = if (empty(identityId)) {
  name: name
  location: location
  tags: tags
}

var parts = split(empty(identityId) ? '/subscriptions/none/resourceGroups/none/providers/p/k/none' : identityId, '/')

resource given 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = if (!empty(identityId)) {
  name: last(parts)
  scope: resourceGroup(parts[2], parts[4])
}

output id string = empty(identityId) ? made.id : identityId
output clientId string = empty(identityId) ? made.properties.clientId : given.properties.clientId
output principalId string = empty(identityId) ? made.properties.principalId : given.properties.principalId
