"""Azure Resource Manager's front door: which requests are heard, throttled, refused or struck by a fault."""
