"""The composition root: the one floor that builds adapters and hands them to the doors."""

from farthing.compose.place import ledger_path
from farthing.compose.serving import RunningGateway, running_gateway, serve

__all__ = ["RunningGateway", "ledger_path", "running_gateway", "serve"]
