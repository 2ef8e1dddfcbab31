"""Runs the core's exchange over ports; imports no I/O library."""

from __future__ import annotations

from farthing.driver.async_driver import AsyncDriver, AsyncParts
from farthing.driver.prompt import Ports
from farthing.driver.sync_driver import Driver

__all__ = ["AsyncDriver", "AsyncParts", "Driver", "Ports"]
