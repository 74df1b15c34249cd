"""`make demo`: one failover, start to end, on this machine. Nothing is faked but Azure's network and the mirror itself."""
