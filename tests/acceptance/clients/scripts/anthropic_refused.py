"""The Python SDK, refused: one JSON object of what plain, streamed and async calls raised."""

import asyncio
import json
import sys

import anthropic


def told(error):
    return {
        "type": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "text": str(error),
    }


def plain(asked):
    try:
        anthropic.Anthropic(max_retries=5).messages.create(**asked)
    except anthropic.APIError as error:
        return told(error)


def streamed(asked):
    try:
        with anthropic.Anthropic(max_retries=5).messages.stream(**asked) as running:
            running.get_final_message()
    except anthropic.APIError as error:
        return told(error)


async def awaited(asked):
    async with anthropic.AsyncAnthropic(max_retries=5) as client:
        try:
            await client.messages.create(**asked)
        except anthropic.APIError as error:
            return told(error)


def main():
    asked = json.load(sys.stdin)
    result = {
        "plain": plain(asked),
        "streamed": streamed(asked),
        "awaited": asyncio.run(awaited(asked)),
    }
    print(json.dumps(result))


main()
