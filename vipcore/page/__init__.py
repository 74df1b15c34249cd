"""The operators' page: HTML and SVG from plain values, without I/O and without a clock."""
