"""What the kit survives: a table of faults, kills of real processes, and the sums afterwards."""
