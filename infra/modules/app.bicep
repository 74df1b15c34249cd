// The plan and the app. alwaysReady is what runs when a zone is lost: starting anything then is not promised.
param name string
param location string
param tags object
param identityId string
param clientId string
param hostBlobEndpoint string
param packageContainerUrl string
param tableEndpoint string
param vaultUri string
@secure()
param appInsightsConnectionString string
param mirrorsSetting string
param keyIds array
param auditKeyInVault bool
param cloudName string
param zoneRedundant bool
param pythonVersion string
param instanceMemoryMB int
param alwaysReadyHttp int
param alwaysReadyTimer int
param httpConcurrency int
param maximumInstanceCount int
param integrationSubnetId string
param publicNetworkAccess string
param allowedAddresses array

var settings = [
  {
    name: 'AzureWebJobsStorage__blobServiceUri'
    value: hostBlobEndpoint
  }
  {
    name: 'AzureWebJobsStorage__credential'
    value: 'managedidentity'
  }
  {
    name: 'AzureWebJobsStorage__clientId'
    value: clientId
  }
  {
    name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
    value: appInsightsConnectionString
  }
  {
    name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
    value: 'ClientId=${clientId};Authorization=AAD'
  }
  {
    name: 'AZURE_CLIENT_ID'
    value: clientId
  }
  {
    name: 'VIP_TABLE'
    value: tableEndpoint
  }
  {
    name: 'VIP_TABLE_NAME'
    value: 'MirrorVip'
  }
  {
    name: 'VIP_CLOUD'
    value: cloudName
  }
  {
    name: 'VIP_MIRRORS'
    value: mirrorsSetting
  }
]
// Ids with other characters than letters, digits, hyphen, dot and underscore are refused by infra/mirrors.py.
var keySettings = [for id in keyIds: {
  name: 'VIP_KEY_${toUpper(replace(replace(id, '-', '_'), '.', '_'))}'
  value: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/vip-key-${toLower(replace(replace(id, '_', '-'), '.', '-'))})'
}]
var auditSettings = auditKeyInVault ? [
  {
    name: 'VIP_AUDIT_KEY'
    value: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/vip-audit-key)'
  }
] : []
var addressRules = [for (range, i) in allowedAddresses: {
  ipAddress: range
  action: 'Allow'
  priority: 100 + i
  name: 'allow-${i}'
}]
var httpReady = alwaysReadyHttp == 0 ? [] : [
  {
    name: 'http'
    instanceCount: alwaysReadyHttp
  }
]
var timerReady = alwaysReadyTimer == 0 ? [] : [
  {
    name: 'function:reconcile_timer'
    instanceCount: alwaysReadyTimer
  }
]

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource site 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: publicNetworkAccess
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(integrationSubnetId) ? null : integrationSubnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: concat(httpReady, timerReady)
        triggers: {
          http: {
            perInstanceConcurrency: httpConcurrency
          }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      ipSecurityRestrictionsDefaultAction: empty(allowedAddresses) ? 'Allow' : 'Deny'
      ipSecurityRestrictions: addressRules
      appSettings: concat(settings, keySettings, auditSettings)
    }
  }
}

resource scmKeys 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: site
  name: 'scm'
  properties: {
    allow: false
  }
}

resource ftpKeys 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: site
  name: 'ftp'
  properties: {
    allow: false
  }
}

output id string = site.id
output name string = site.name
output hostName string = site.properties.defaultHostName
