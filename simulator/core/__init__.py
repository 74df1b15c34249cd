"""Values and pure functions: messages, resource records, ids, addresses, errors, switches, faults, principals, history."""
