// The page in the portal: swaps, their times, refusals, drift, the timer.
param environmentName string
param location string
param tags object
param workspaceId string

var page = loadJsonContent('../workbook.json')

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, environmentName, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Mirror VIP (${environmentName})'
    category: 'workbook'
    sourceId: workspaceId
    serializedData: string(page)
  }
}
