"""Claude Agent SDK: one JSON object of what a plain, a streamed and a tool call gave."""

import asyncio
import json

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ResultMessage,
    StreamEvent,
    create_sdk_mcp_server,
    query,
    tool,
)


@tool("get_weather", "Tell the weather in a city", {"city": str})
async def get_weather(arguments):
    return {"content": [{"type": "text", "text": f"21 degrees in {arguments['city']}"}]}


def options(**more):
    return ClaudeAgentOptions(model="claude-opus-4-8", setting_sources=[], **more)


async def ask(prompt, chosen):
    """What the client says of the whole run, and the pieces of text it passed on."""
    seen = [message async for message in query(prompt=prompt, options=chosen)]
    result = next(message for message in seen if isinstance(message, ResultMessage))
    events = [message.event for message in seen if isinstance(message, StreamEvent)]
    pieces = [e["delta"]["text"] for e in events if e.get("delta", {}).get("type") == "text_delta"]
    return {"text": result.result, "output": result.usage["output_tokens"]}, pieces


async def main():
    plain, _ = await ask("say it plainly", options())
    streamed, pieces = await ask("say it in pieces", options(include_partial_messages=True))
    weather = create_sdk_mcp_server("weather", tools=[get_weather])
    armed = options(mcp_servers={"weather": weather}, allowed_tools=["mcp__weather__get_weather"])
    asked, _ = await ask("ask for the weather", armed)
    streamed = {**streamed, "text": "".join(pieces), "pieces": len(pieces)}
    print(json.dumps({"plain": plain, "streamed": streamed, "tool": asked}))


asyncio.run(main())
