"""What is remembered of a mirror, and the proof of it: the head row, the audit rows and their hash chain."""
