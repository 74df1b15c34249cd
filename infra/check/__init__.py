"""What judges infra/*.bicep without Azure: an evaluator of our dialect, Azure's own types, and rules. For development only."""
