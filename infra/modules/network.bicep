// Private endpoints for what the app uses, and for the app itself. DNS zones are made where none is given.
param environmentName string
param location string
param tags object
param subnetId string
param networkId string
param zones object
param targets array

var made = filter(targets, item => !contains(objectKeys(zones), item.zone))

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [for item in made: {
  name: item.zone
  location: 'global'
  tags: tags
}]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for item in made: {
  name: '${item.zone}/${environmentName}'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: networkId
    }
  }
  dependsOn: [
    zone
  ]
}]

resource endpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = [for item in targets: {
  name: 'pe-${environmentName}-${item.group}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: item.group
        properties: {
          privateLinkServiceId: item.id
          groupIds: [
            item.group
          ]
        }
      }
    ]
  }
}]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [for item in targets: {
  name: 'pe-${environmentName}-${item.group}/default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: item.group
        properties: {
          privateDnsZoneId: contains(objectKeys(zones), item.zone) ? zones[item.zone] : resourceId('Microsoft.Network/privateDnsZones', item.zone)
        }
      }
    ]
  }
  dependsOn: [
    endpoint
    zone
  ]
}]
