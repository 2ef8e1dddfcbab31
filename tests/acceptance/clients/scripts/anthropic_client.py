"""The Python SDK: one JSON object of what a plain, a streamed and a tool call gave."""

import asyncio
import json

from anthropic import Anthropic, AsyncAnthropic, beta_tool

MODEL = "claude-opus-4-8"


@beta_tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"21 degrees in {city}"


def asking(text):
    return {
        "model": MODEL,
        "max_tokens": 500,
        "messages": [{"role": "user", "content": text}],
    }


def told(messages):
    return {
        "text": messages[-1].content[0].text,
        "output": sum(message.usage.output_tokens for message in messages),
    }


async def stream():
    async with (
        AsyncAnthropic() as client,
        client.messages.stream(**asking("say it in pieces")) as running,
    ):
        pieces = [piece async for piece in running.text_stream]
        return {**told([await running.get_final_message()]), "pieces": len(pieces)}


def main():
    client = Anthropic()
    plain = client.messages.create(**asking("say it plainly"))
    # the runner sends its second request as the continuation of a message thread
    runner = client.beta.messages.tool_runner(**asking("ask for the weather"), tools=[get_weather])
    result = {
        "plain": told([plain]),
        "streamed": asyncio.run(stream()),
        "tool": told(list(runner)),
    }
    print(json.dumps(result))


main()
