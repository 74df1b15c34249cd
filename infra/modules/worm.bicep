// A copy of the log that nobody can alter: Azure Monitor appends to it, and the policy of the account keeps what is there.
param token string
param location string
param tags object
param zoneRedundant bool
param days int
param workspaceName string

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: 'st${take(token, 12)}worm'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
  }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    immutableStorageWithVersioning: {
      enabled: true
      immutabilityPolicy: {
        allowProtectedAppendWrites: true
        immutabilityPeriodSinceCreationInDays: days
        state: 'Unlocked'
      }
    }
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: 'Deny'
    }
  }
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' existing = {
  name: workspaceName
}

resource copy 'Microsoft.OperationalInsights/workspaces/dataExports@2023-09-01' = {
  parent: workspace
  name: 'mirror-vip'
  properties: {
    destination: {
      resourceId: account.id
    }
    enable: true
    tableNames: [
      'AppTraces'
      'StorageTableLogs'
    ]
  }
}
