"""The tools of a session: what Claude is told of them, and how a call is run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from farthing.errors import ConfigError

__all__ = ["RunTool", "RunnableTool", "ToolOutput", "Toolbox"]

#: what a tool answers: a text, content blocks, or (in an async session) an awaitable of either
ToolOutput = str | Iterable[Any] | Awaitable[Any]
RunTool = Callable[[str, dict[str, Any]], ToolOutput]


@runtime_checkable
class RunnableTool(Protocol):
    """What ``@anthropic.beta_tool`` makes of a function."""

    @property
    def name(self) -> str:
        """The name Claude calls it by."""

    def to_dict(self) -> Mapping[str, Any]:
        """Its definition on the wire."""

    def call(self, input: object) -> Any:  # noqa: A002  the SDK's own name
        """Run it."""


class Toolbox:
    """Definitions in the order given, and who runs what."""

    def __init__(
        self, tools: Iterable[RunnableTool | Mapping[str, Any]], run_tool: RunTool | None
    ) -> None:
        self.definitions = list[dict[str, Any]]()
        self._runnable = dict[str, RunnableTool]()
        self._run_tool = run_tool
        for tool in tools:
            if isinstance(tool, RunnableTool):
                self._runnable[tool.name] = tool
                self.definitions.append(dict(tool.to_dict()))
            else:
                self._check_runnable(tool)
                self.definitions.append(dict(tool))

    def run(self, name: str, arguments: dict[str, Any]) -> ToolOutput:
        """What the tool answers; ``LookupError`` for a tool that nobody can run."""
        if name in self._runnable:
            output: ToolOutput = self._runnable[name].call(arguments)
            return output
        if self._run_tool is None:
            raise LookupError(f"there is no way to run {name!r} here")
        return self._run_tool(name, arguments)

    def _check_runnable(self, tool: Mapping[str, Any]) -> None:
        """A definition of the caller's own needs someone who runs it; the provider's do not."""
        if tool.get("type", "custom") == "custom" and self._run_tool is None:
            raise ConfigError(
                f"nobody runs the tool {tool.get('name')!r}: decorate a function with "
                "@anthropic.beta_tool and pass that, or pass run_tool=, a function of the tool's "
                "name and input"
            )
