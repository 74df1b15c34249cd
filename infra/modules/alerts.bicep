// One rule for each entry of alerts.json. Azure sees their tables only when the first row is there, so it is not to check the queries.
param environmentName string
param location string
param tags object
param workspaceId string
param emails array
param actionGroupIds array
param principalId string
param otherWriters array

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${environmentName}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'MirrorVip'
    emailReceivers: [for (address, i) in emails: {
      name: 'email-${i}'
      emailAddress: address
      useCommonAlertSchema: true
    }]
  }
}

var own = [
  people.id
]
var rules = loadJsonContent('../alerts.json')

resource rule 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for item in rules: {
  name: '${environmentName}-${item.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: item.title
    description: '${item.what} ${item.runbook}'
    severity: item.severity
    enabled: true
    evaluationFrequency: item.every
    windowSize: item.window
    scopes: [
      workspaceId
    ]
    skipQueryValidation: true
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: replace(item.query, '{principalId}', join(concat([principalId], otherWriters), '" and RequesterObjectId != "'))
          timeAggregation: 'Count'
          operator: item.operator
          threshold: item.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: concat(own, actionGroupIds)
    }
  }
}]
