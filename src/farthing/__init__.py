"""Smaller, bounded and explained bills for Claude API agents."""

__version__ = "0.1.0"

__all__ = ["__version__"]
