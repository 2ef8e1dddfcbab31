"""Rows in, tables and pages out: no report computes anything but its own layout."""
