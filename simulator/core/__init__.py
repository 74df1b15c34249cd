"""Values without state: ids, addresses, documents, errors, switches, faults."""
