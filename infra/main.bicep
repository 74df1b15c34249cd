// All of one installation but the rights on the members' network, which are in access.bicep. infra/README.md says how it is used.
targetScope = 'resourceGroup'

@minLength(2)
@maxLength(20)
@description('A short name of this installation; part of every resource name. Example: mirror-vip.')
param environmentName string

@description('Region of the controller. Use the region of the mirrors. Example: westeurope.')
param location string = resourceGroup().location

@description('The mirrors document (vipcore/mirrors.schema.json).')
param mirrors object

@description('Set it to mirrors.json when the document is over 32 kB: it then travels in the package (make package ARGS="--mirrors FILE").')
param mirrorsPath string = ''

@description('What the identity may touch: the output of infra/access.py. A list of {"id", "role"}.')
param access array = []

@description('Deploy the roles and their assignments with this deployment. False: somebody else deploys access.bicep.')
param deployAccess bool = true

@description('Allow the one-call preview (strategy atomic).')
param atomic bool = false

@description('A user-assigned identity that exists already. Empty: one is made.')
param identityId string = ''

@description('Of a second controller: the first one\'s MIRROR_VIP_TABLE_URL. Empty: this installation has a table of its own.')
param tableUrl string = ''

@description('Of a first controller: the MIRROR_VIP_PRINCIPAL_ID of each other one that uses its table (docs/azure.md section 7).')
param otherWriters array = []

@description('Object id of whoever runs infra/keys.py; it may then write secrets to the vault. Empty: nobody is given that right.')
param deployerId string = ''

@description('standard: zone redundant, small instances (about 21 USD a month for instances). fleet: the same with 2,048 MB (about 85). lean: no zones, nothing waits (about 1), for tests. Alert rules and the log are on top (docs/azure.md section 4).')
@allowed([
  'standard'
  'fleet'
  'lean'
])
param profile string = 'standard'

@description('Spread instances and storage over zones. Needs a region that az functionapp list-flexconsumption-locations --zone-redundant true names.')
param zoneRedundant bool = profile != 'lean'

@description('Copies of the trail. Standard_GZRS, or without zones Standard_GRS: also in another region (docs/azure.md section 7).')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param auditSku string = zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'

@description('Python of the app. The deployed package is built for the same version.')
@allowed([
  '3.13'
])
param pythonVersion string = '3.13'

@description('Memory of an instance, and with it its share of a core: a quarter, one, two.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = profile == 'fleet' ? 2048 : 512

@description('Instances that wait for claims. Two is the least with zone redundancy.')
@minValue(0)
@maxValue(100)
param alwaysReadyHttp int = profile == 'lean' ? 0 : 2

@description('Instances that wait for the timer. With zone redundancy Azure keeps, and bills, two whatever stands here (docs/adr/0021).')
@minValue(0)
@maxValue(2)
param alwaysReadyTimer int = profile == 'lean' ? 0 : zoneRedundant ? 2 : 1

@description('Requests that one instance takes at a time. The default of Azure for Python is 1, and a zone outage would then need new instances.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 500

@description('Instances at most.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Subnet for outbound traffic, delegated to Microsoft.App/environments, /27 or larger, no underscore in its name. Empty: no virtual network.')
param integrationSubnetId string = ''

@description('Subnet for private endpoints; needs integrationSubnetId too, else the app reaches neither storage nor vault. Empty: none, public names.')
param privateEndpointSubnetId string = ''

@description('Private DNS zones that exist already, name to id. Example: {"privatelink.azurewebsites.net": "/subscriptions/..."}.')
param privateDnsZones object = {}

@description('Who may call the app: Enabled (internet, filtered by allowedAddresses) or Disabled (private endpoint alone).')
@allowed([
  'Enabled'
  'Disabled'
])
param publicNetworkAccess string = 'Enabled'

@description('CIDR ranges that may call the app; empty: all. Example: ["203.0.113.0/24"].')
param allowedAddresses array = []

@description('An existing Log Analytics workspace. Empty: one is made.')
param workspaceId string = ''

@description('How long the log is kept, in days.')
@minValue(30)
@maxValue(730)
param retentionInDays int = 365

@description('Who is told of alerts. Example: ["oncall@example.org"].')
param alertEmails array = []

@description('Action groups that exist already, to be told as well.')
param actionGroupIds array = []

@description('Over 0: a copy of the log that cannot be altered for so many days. infra/README.md says how to lock its policy.')
@minValue(0)
@maxValue(3650)
param immutableDays int = 0

@description('Locks against deletion on the audit account, the vault and the workspace.')
param deleteLocks bool = true

@description('Make the hashes of the trail HMACs with a key from the vault.')
param auditKeyInVault bool = true

@description('Tags of every resource.')
param tags object = {}

var token = toLower(uniqueString(resourceGroup().id, environmentName))
var allTags = union(tags, {
  'azd-env-name': environmentName
})
var keyIds = objectKeys(mirrors.keys)
var clouds = {
  AzureCloud: 'public'
  AzureUSGovernment: 'usgov'
  AzureChinaCloud: 'china'
}
var siteDomains = {
  AzureCloud: 'azurewebsites.net'
  AzureUSGovernment: 'azurewebsites.us'
  AzureChinaCloud: 'chinacloudsites.cn'
}
var innerAccess = empty(privateEndpointSubnetId) ? 'Enabled' : 'Disabled'

module identity 'modules/identity.bicep' = {
  name: 'identity'
  params: {
    name: 'id-${environmentName}-${token}'
    location: location
    tags: allTags
    identityId: identityId
  }
}

module monitor 'modules/monitor.bicep' = {
  name: 'monitor'
  params: {
    name: '${environmentName}-${token}'
    location: location
    tags: allTags
    retentionInDays: retentionInDays
    principalId: identity.outputs.principalId
    workspaceId: workspaceId
    deleteLocks: deleteLocks
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    token: token
    location: location
    tags: allTags
    principalId: identity.outputs.principalId
    otherWriters: otherWriters
    workspaceId: monitor.outputs.workspaceId
    publicNetworkAccess: innerAccess
    zoneRedundant: zoneRedundant
    auditSku: auditSku
    deleteLocks: deleteLocks
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  params: {
    name: 'kv${token}'
    location: location
    tags: allTags
    principalId: identity.outputs.principalId
    workspaceId: monitor.outputs.workspaceId
    publicNetworkAccess: innerAccess
    deployerId: deployerId
    deleteLocks: deleteLocks
  }
}

// The rights are there before the app: its parameters are outputs of the modules that assign them.
module app 'modules/app.bicep' = {
  name: 'app'
  params: {
    name: 'func-${environmentName}-${token}'
    location: location
    tags: allTags
    identityId: identity.outputs.id
    clientId: identity.outputs.clientId
    hostBlobEndpoint: storage.outputs.hostBlobEndpoint
    packageContainerUrl: storage.outputs.packageContainerUrl
    tableEndpoint: empty(tableUrl) ? storage.outputs.tableEndpoint : tableUrl
    vaultUri: vault.outputs.uri
    appInsightsConnectionString: monitor.outputs.connectionString
    mirrorsSetting: empty(mirrorsPath) ? string(mirrors) : mirrorsPath
    keyIds: keyIds
    auditKeyInVault: auditKeyInVault
    cloudName: clouds[environment().name]
    zoneRedundant: zoneRedundant
    pythonVersion: pythonVersion
    instanceMemoryMB: instanceMemoryMB
    alwaysReadyHttp: alwaysReadyHttp
    alwaysReadyTimer: alwaysReadyTimer
    httpConcurrency: httpConcurrency
    maximumInstanceCount: maximumInstanceCount
    integrationSubnetId: integrationSubnetId
    publicNetworkAccess: publicNetworkAccess
    allowedAddresses: allowedAddresses
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
    workspaceId: monitor.outputs.workspaceId
    emails: alertEmails
    actionGroupIds: actionGroupIds
    principalId: identity.outputs.principalId
    otherWriters: otherWriters
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
    workspaceId: monitor.outputs.workspaceId
  }
}

module worm 'modules/worm.bicep' = if (immutableDays > 0 && empty(workspaceId)) {
  name: 'worm'
  params: {
    token: token
    location: location
    tags: allTags
    zoneRedundant: zoneRedundant
    days: immutableDays
    workspaceName: 'log-${environmentName}-${token}'
  }
  dependsOn: [
    monitor
  ]
}

module network 'modules/network.bicep' = if (!empty(privateEndpointSubnetId)) {
  name: 'network'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
    subnetId: privateEndpointSubnetId
    networkId: split(privateEndpointSubnetId, '/subnets/')[0]
    zones: privateDnsZones
    targets: [
      {
        group: 'blob'
        id: storage.outputs.hostId
        zone: 'privatelink.blob.${environment().suffixes.storage}'
      }
      {
        group: 'table'
        id: storage.outputs.auditId
        zone: 'privatelink.table.${environment().suffixes.storage}'
      }
      {
        group: 'vault'
        id: vault.outputs.id
        zone: 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
      }
      {
        group: 'sites'
        id: app.outputs.id
        zone: 'privatelink.${siteDomains[environment().name]}'
      }
    ]
  }
}

module rights 'access.bicep' = if (deployAccess && !empty(access)) {
  name: 'rights-${token}'
  scope: subscription()
  params: {
    principalId: identity.outputs.principalId
    grants: access
    atomic: atomic
  }
}

output AZURE_FUNCTION_NAME string = app.outputs.name
output MIRROR_VIP_URL string = 'https://${app.outputs.hostName}/api'
output MIRROR_VIP_SITE_ID string = app.outputs.id
output MIRROR_VIP_PRINCIPAL_ID string = identity.outputs.principalId
output MIRROR_VIP_VAULT string = vault.outputs.uri
output MIRROR_VIP_TABLE_URL string = storage.outputs.tableEndpoint
output MIRROR_VIP_WORKSPACE_ID string = monitor.outputs.workspaceId
