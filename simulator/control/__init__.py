"""The control API of the simulator itself: worlds, faults, history."""
