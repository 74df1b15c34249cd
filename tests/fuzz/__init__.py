"""Hostile input by generators: short in every run, long under the marker `soak`."""
