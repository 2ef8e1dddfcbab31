"""LangChain's ChatAnthropic: one JSON object of what a plain, a streamed and a tool call gave."""

import json

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"21 degrees in {city}"


def tool_round_trip(model):
    """The loop that an agent of LangChain runs, with nothing around it."""
    armed = model.bind_tools([get_weather])
    messages = [HumanMessage("ask for the weather")]
    answers = [armed.invoke(messages)]
    while answers[-1].tool_calls:
        messages.append(answers[-1])
        messages += [get_weather.invoke(call) for call in answers[-1].tool_calls]
        answers.append(armed.invoke(messages))
    return told(answers[-1].text, answers)


def told(text, answers):
    return {"text": text, "output": sum(a.usage_metadata["output_tokens"] for a in answers)}


def main():
    model = ChatAnthropic(model="claude-opus-4-8", max_tokens=500)
    plain = model.invoke("say it plainly")
    pieces = list(model.stream("say it in pieces"))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    result = {
        "plain": told(plain.text, [plain]),
        "streamed": {**told(whole.text, [whole]), "pieces": len(pieces)},
        "tool": tool_round_trip(model),
    }
    print(json.dumps(result))


main()
