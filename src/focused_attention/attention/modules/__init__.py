"""Modules that are usable alone, with the arguments they were published or documented with."""
