"""pydantic-ai: one JSON object of what a plain, a streamed and a tool call gave."""

import asyncio
import json

from pydantic_ai import Agent, FunctionToolset

# Without a bound of its own it asks for the model's maximum, and streams behind the scenes.
SETTINGS = {"max_tokens": 500}


def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"21 degrees in {city}"


def told(text, result):
    return {"text": text, "output": result.usage.output_tokens}


async def main():
    agent = Agent("anthropic:claude-opus-4-8", model_settings=SETTINGS)
    plain = await agent.run("say it plainly")
    async with agent.run_stream("say it in pieces") as streamed:
        pieces = [piece async for piece in streamed.stream_text(delta=True, debounce_by=None)]
        streamed_answer = told("".join(pieces), streamed)
    asked = await agent.run("ask for the weather", toolsets=[FunctionToolset([get_weather])])
    result = {
        "plain": told(plain.output, plain),
        "streamed": {**streamed_answer, "pieces": len(pieces)},
        "tool": told(asked.output, asked),
    }
    print(json.dumps(result))


asyncio.run(main())
