"""LangChain's caching middleware on its own ChatAnthropic: requests in, usage out, a line each.

The middleware wraps a model call as an agent of LangChain makes it: tools bound with the settings
that the middleware chose, the system message in front. Nothing of it is imitated here.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_anthropic import ChatAnthropic
from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import StructuredTool


def main() -> None:
    names = ("langchain", "langchain-anthropic", "langchain-core")
    say({"versions": {name: version(name) for name in names}})
    middleware = AnthropicPromptCachingMiddleware(ttl=sys.argv[1])
    for line in sys.stdin:
        given = json.loads(line)
        try:
            say({"usage": send(middleware, given)})
        except Exception as error:  # noqa: BLE001  the parent decides what a failure means
            say({"error": f"{type(error).__name__}: {error}"[:500]})


def send(middleware: Any, given: dict[str, Any]) -> dict[str, Any]:
    body = given["body"]
    model = ChatAnthropic(
        model=body["model"],
        max_tokens=body["max_tokens"],
        base_url=given["url"],
        api_key=given["key"],
        max_retries=0,
        default_headers=given["headers"],
    )
    request = ModelRequest(
        model=model,
        messages=[part for message in body["messages"] for part in parts(message)],
        system_message=SystemMessage(content=body["system"]) if body.get("system") else None,
        tools=[tool(one) for one in body.get("tools", [])],
    )
    usages: list[dict[str, Any]] = []

    def call(asked: Any) -> Any:
        bound = asked.model.bind_tools(asked.tools, **asked.model_settings)
        before = [asked.system_message] if asked.system_message else []
        answer = bound.invoke([*before, *asked.messages])
        usages.append(answer.response_metadata["usage"])
        return ModelResponse(result=[answer])

    middleware.wrap_model_call(request, call)
    return usages[0]


def parts(message: dict[str, Any]) -> list[Any]:
    """A message of the API as LangChain's: results of tools are messages of their own."""
    content = message["content"]
    if message["role"] == "assistant":
        calls = [
            {"name": block["name"], "args": block["input"], "id": block["id"]}
            for block in content
            if block["type"] == "tool_use"
        ]
        return [AIMessage(content=content, tool_calls=calls)]
    found: list[Any] = [
        ToolMessage(content=block.get("content") or "", tool_call_id=block["tool_use_id"])
        for block in content
        if block["type"] == "tool_result"
    ]
    rest = [block for block in content if block["type"] != "tool_result"]
    return [*found, HumanMessage(content=rest)] if rest else found


def tool(definition: dict[str, Any]) -> Any:
    return StructuredTool(
        name=definition["name"],
        description=definition.get("description") or definition["name"],
        args_schema=definition["input_schema"],
        func=lambda **_: "",
    )


def say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


main()
