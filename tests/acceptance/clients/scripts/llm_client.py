"""``llm`` with llm-anthropic: one JSON object of what a plain, a streamed and a tool call gave."""

import json

import llm


def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"21 degrees in {city}"


def told(text, responses):
    return {"text": text, "output": sum(r.usage().output for r in responses)}


def main():
    model = llm.get_model("claude-opus-4.8")
    plain = model.prompt("say it plainly", stream=False)
    plain_text = plain.text()
    streamed = model.prompt("say it in pieces")
    pieces = list(streamed)
    chain = model.chain("ask for the weather", tools=[get_weather])
    responses = list(chain.responses())
    result = {
        "plain": told(plain_text, [plain]),
        "streamed": {**told("".join(pieces), [streamed]), "pieces": len(pieces)},
        "tool": told(responses[-1].text(), responses),
    }
    print(json.dumps(result))


main()
