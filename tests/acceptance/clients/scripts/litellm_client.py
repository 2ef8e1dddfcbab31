"""LiteLLM as a client: one JSON object of what a plain, a streamed and a tool call gave."""

import json
import os

import litellm

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def complete(messages, **more):
    return litellm.completion(
        model="anthropic/claude-opus-4-8",
        api_base=os.environ["ANTHROPIC_BASE_URL"],
        api_key=os.environ["ANTHROPIC_API_KEY"],
        messages=messages,
        max_tokens=500,
        **more,
    )


def user(text):
    return {"role": "user", "content": text}


def told(text, answers):
    return {"text": text, "output": sum(a.usage.completion_tokens for a in answers)}


def tool_round_trip():
    messages = [user("ask for the weather")]
    answers = [complete(messages, tools=[TOOL])]
    while calls := answers[-1].choices[0].message.tool_calls:
        messages.append(answers[-1].choices[0].message)
        for call in calls:
            city = json.loads(call.function.arguments)["city"]
            said = {"role": "tool", "tool_call_id": call.id, "content": f"21 degrees in {city}"}
            messages.append(said)
        answers.append(complete(messages, tools=[TOOL]))
    return told(answers[-1].choices[0].message.content, answers)


def main():
    plain = complete([user("say it plainly")])
    asked = [user("say it in pieces")]
    pieces = list(complete(asked, stream=True, stream_options={"include_usage": True}))
    whole = litellm.stream_chunk_builder(pieces, messages=asked)
    result = {
        "plain": told(plain.choices[0].message.content, [plain]),
        "streamed": {
            **told(whole.choices[0].message.content, [whole]),
            "pieces": len(pieces),
        },
        "tool": tool_round_trip(),
    }
    print(json.dumps(result))


main()
