"""Who calls and what they may do: managed identity, tokens, roles and denials."""
