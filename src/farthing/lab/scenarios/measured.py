"""The measured parameters of recorded agents, each with its source.

Sources, all measured 2026-11 over public recordings (none of which is shipped): *main* = 246 Claude
Code conversations with 11,241 calls; *sub* = 79 of its sub-agents with 931 calls; *tau2* = 259
customer-service conversations with 2,876 calls; *swe* = 173 runs of a shell agent with 6,927 calls.
Token sizes of single blocks are estimates from characters (0.27 per text character, 0.30 per tool
input character, 0.34 per tool result character), totals are the provider's.
"""

from __future__ import annotations

from typing import Final

from farthing.lab.scenarios.distributions import Mix, Quantiles

__all__ = [
    "AGENT_CALLS",
    "AGENT_RESULTS",
    "AGENT_TOOLS",
    "AGENT_TOOL_GAP",
    "AGENT_TOOL_INPUT",
    "AGENT_USER_GAP",
    "AGENT_USER_TEXT",
    "REREAD_RATIO",
    "RESPONSE_SECONDS",
    "SPOKEN_RATIO",
    "SUBAGENT_CALLS",
    "SUBAGENT_RESULTS",
    "SUBAGENT_TASK",
    "SUBAGENT_TOOLS",
    "SUPPORT_CALLS",
    "SUPPORT_REPLY",
    "SUPPORT_RESULT",
    "SUPPORT_TOOL_RATIO",
    "SUPPORT_USER_TEXT",
    "TEXT_BEFORE_TOOL",
    "TOOLS_PER_CALL",
    "USER_TURN_RATIO",
]


def _quantiles(*values: float) -> Quantiles:
    """Values at 5, 25, 50, 75, 90, 95 and, where given, 99 per cent."""
    return Quantiles(tuple(zip((0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99), values, strict=False)))


# -- coding agent (main) --------------------------------------------------------------------------

#: calls of a conversation
AGENT_CALLS: Final = _quantiles(2, 14, 38, 66, 97, 117, 159)
#: of the calls after the first, those that answer a person: 824 of 10,995
USER_TURN_RATIO: Final = 0.075
#: seconds between an answer and the next request, when tools ran, and when a person was asked
AGENT_TOOL_GAP: Final = _quantiles(0.01, 0.05, 0.26, 1.53, 11.99, 47.74, 300)
AGENT_USER_GAP: Final = _quantiles(15.2, 59.2, 127, 314, 869, 2496, 37946)
#: seconds from request to complete answer
RESPONSE_SECONDS: Final = _quantiles(3.1, 4.1, 5.3, 8.1, 13.9, 20.5, 48)
#: tool uses in one answer that uses tools: 1, 2, 3, 4, 5
TOOLS_PER_CALL: Final = Mix({"1": 0.816, "2": 0.066, "3": 0.019, "4": 0.005, "5": 0.003})
AGENT_TOOLS: Final = Mix(
    {"Bash": 0.281, "Read": 0.25, "Edit": 0.214, "Grep": 0.135, "Glob": 0.014, "Write": 0.013}
)
#: tokens of a tool's input, and of its result by tool (25, 50, 75, 95 %)
AGENT_TOOL_INPUT: Final = _quantiles(17.7, 30.6, 40.2, 119, 381, 691, 2112)


def _results(*values: float) -> Quantiles:
    return Quantiles(tuple(zip((0.25, 0.5, 0.75, 0.95), values, strict=True)))


AGENT_RESULTS: Final = {
    "Bash": _results(24, 128, 368, 1842),
    "Read": _results(475, 884, 1868, 9844),
    "Edit": _results(37, 41, 86, 568),
    "Grep": _results(32, 177, 734, 2745),
    "Glob": _results(16, 49, 155, 1023),
    "Write": _results(31, 36, 70, 4928),
}
#: 1,480 of 2,977 reads name a file that was read before in the same conversation
REREAD_RATIO: Final = 0.497
AGENT_USER_TEXT: Final = _quantiles(2.4, 12.7, 28.6, 93, 481, 2188, 4503)
#: half of the answers begin with words (5,641 of 11,241), this long
SPOKEN_RATIO: Final = 0.5
TEXT_BEFORE_TOOL: Final = _quantiles(10.3, 17.6, 27.8, 62.6, 238, 379, 738)

# -- sub-agents (sub) -----------------------------------------------------------------------------

SUBAGENT_CALLS: Final = _quantiles(2, 6, 11, 16, 22, 28, 49)
SUBAGENT_TASK: Final = _quantiles(103, 163, 258, 441, 1260, 1690, 2077)
SUBAGENT_TOOLS: Final = Mix({"Read": 0.423, "Bash": 0.277, "Grep": 0.129, "Glob": 0.079})
SUBAGENT_RESULTS: Final = {
    "Read": _results(1267, 2608, 5938, 17124),
    "Bash": _results(24, 109, 370, 1416),
    "Grep": _results(28, 92, 296, 2097),
    "Glob": _results(20, 44, 189, 1035),
}

# -- customer service (tau2) ----------------------------------------------------------------------

SUPPORT_CALLS: Final = _quantiles(5, 7, 9, 13, 16, 18)
SUPPORT_USER_TEXT: Final = _quantiles(11, 27, 45, 68, 96, 121, 224)
SUPPORT_REPLY: Final = _quantiles(16, 48, 102, 169, 264, 321, 482)
#: answers that call a tool: 0.486; its result, over the tools that look something up
SUPPORT_TOOL_RATIO: Final = 0.486
SUPPORT_RESULT: Final = _results(112, 240, 335, 1600)
