"""Cases of who speaks when, and of tool calls and their results."""

from __future__ import annotations

from tests.unit.wire.validity.bodies import (
    Case,
    assistant,
    body,
    call,
    model,
    result,
    server_call,
    server_result,
    system,
    tool,
    user,
)

ASKED = (user("go"), assistant(call("a"), call("b")))
READ = [tool("read")]
CODE = {"type": "code_execution_20260120", "tool_id": "s"}
CONTINUE = {"type": "continue", "previous_message_id": "msg_1"}
COMPACTION = {"type": "compaction", "content": "so far"}

ROLES = (
    Case(
        code="messages.missing",
        because="a conversation has at least one message",
        broken=body(messages=[]),
        kept=body(user("hello")),
        address="messages",
    ),
    Case(
        code="messages.missing",
        because="messages left out are missing",
        broken=body(without=("messages",)),
        kept=body(user("hello")),
    ),
    Case(
        code="messages.role",
        because="the roles are three",
        broken=body(user("hello"), {"role": "tool", "content": "x"}),
        kept=body(user("hello"), user("x")),
        address="messages.1.role",
    ),
    Case(
        code="messages.first_role",
        because="the user speaks first",
        broken=body(assistant("hello"), user("hello")),
        kept=body(user("hello"), assistant("hello"), user("hello")),
        address="messages",
    ),
    Case(
        code="messages.first_role",
        because="an assistant may speak first with a compaction",
        broken=body(assistant("so far"), user("hello")),
        kept=body(assistant(COMPACTION), user("hello")),
    ),
    Case(
        code="messages.first_role",
        because="an empty assistant message is no compaction",
        broken=body(assistant(), user("hello")),
        kept=body(user("hello"), assistant(), user("hello")),
    ),
    Case(
        code="messages.first_role",
        because="a thread may go on with anybody",
        broken=body(assistant("x"), user("hello")),
        kept=body(assistant("x"), user("hello"), thread=CONTINUE),
    ),
    Case(
        code="system_message.unsupported",
        because="not every model accepts system messages",
        broken=body(user("hello"), system("be brief")),
        kept=body(user("hello"), system("be brief")),
        traits=model(system_messages=False),
        kept_traits=model(system_messages=True),
        address="messages.1.role",
    ),
    Case(
        code="system_message.place",
        because="it is not the first",
        broken=body(system("be brief"), assistant("ok"), user("hello")),
        kept=body(user("hello"), system("be brief"), assistant("ok"), user("hello")),
        address="messages.0.role",
    ),
    Case(
        code="system_message.place",
        because="it does not follow a plain answer",
        broken=body(user("hello"), assistant("ok"), system("be brief")),
        kept=body(user("hello"), assistant("ok"), user("hello"), system("be brief")),
        address="messages.2.role",
    ),
    Case(
        code="system_message.place",
        because="it does not follow an empty answer",
        broken=body(user("hello"), assistant(), system("be brief")),
        kept=body(user("hello"), assistant(), user("hello"), system("be brief")),
    ),
    Case(
        code="system_message.place",
        because="it may follow a server tool's result",
        broken=body(user("hello"), assistant("ok"), system("be brief"), assistant("ok")),
        kept=body(
            user("hello"),
            assistant(server_call("s"), server_result("s")),
            system("be brief"),
            assistant("ok"),
        ),
    ),
    Case(
        code="system_message.place",
        because="the user does not speak right after it",
        broken=body(user("hello"), system("be brief"), user("hello")),
        kept=body(user("hello"), system("be brief"), assistant("ok"), user("hello")),
        address="messages.1.role",
    ),
    Case(
        code="system_message.place",
        because="a thread may go on with it",
        broken=body(system("be brief")),
        kept=body(system("be brief"), thread=CONTINUE),
    ),
    Case(
        code="messages.prefill",
        because="not every model writes on what was begun",
        broken=body(user("hello"), assistant("It is")),
        kept=body(user("hello"), assistant("It is")),
        traits=model(prefill=False),
        kept_traits=model(prefill=True),
        address="",
    ),
    Case(
        code="messages.prefill",
        because="a paused answer goes back as it is",
        broken=body(user("hello"), assistant("looking")),
        kept=body(user("hello"), assistant("looking", server_call("s"))),
        traits=model(prefill=False),
    ),
    Case(
        code="messages.prefill",
        because="an answer with a server tool in it may have been paused behind text",
        broken=body(user("hello"), assistant("looking"), assistant("found")),
        kept=body(
            user("hello"), assistant(server_call("s"), server_result("s")), assistant("found")
        ),
        traits=model(prefill=False),
    ),
    Case(
        code="messages.prefill",
        because="an answer paused after a result goes back as it is",
        broken=body(user("hello"), assistant()),
        kept=body(user("hello"), assistant(server_call("s"), server_result("s"))),
        traits=model(prefill=False),
    ),
    Case(
        code="messages.prefill",
        because="an answer paused after compaction goes back as it is",
        broken=body(user("hello"), assistant(COMPACTION, "It is")),
        kept=body(user("hello"), assistant(COMPACTION)),
        traits=model(prefill=False),
    ),
    Case(
        code="messages.prefill_space",
        because="what was begun does not end in a space",
        broken=body(user("hello"), assistant("It is ")),
        kept=body(user("hello"), assistant("It is")),
        address="messages",
    ),
    Case(
        code="messages.prefill_space",
        because="nor in a line end",
        broken=body(user("hello"), {"role": "assistant", "content": "It is\n"}),
        kept=body(user("hello"), assistant("It is \n"), user("hello")),
    ),
)

CALLS = (
    Case(
        code="tools.unanswered",
        because="every call of a turn has its result in the next",
        broken=body(*ASKED, user(result("a"))),
        kept=body(*ASKED, user(result("a"), result("b"))),
        address="messages.1",
    ),
    Case(
        code="tools.unanswered",
        because="results may come in several messages of one turn",
        broken=body(*ASKED, user(result("a")), user("hello")),
        kept=body(*ASKED, user(result("a")), user(result("b"))),
    ),
    Case(
        code="tools.unanswered",
        because="a conversation does not end with an open call",
        broken=body(*ASKED),
        kept=body(*ASKED, user(result("b"), result("a"))),
    ),
    Case(
        code="tools.orphan_result",
        because="a result answers a call of the turn before",
        broken=body(*ASKED, user(result("a"), result("b"), result("c"))),
        kept=body(*ASKED, user(result("a"), result("b"))),
        address="messages.2.content.2",
    ),
    Case(
        code="tools.orphan_result",
        because="a thread may go on with the results of calls that are not in the body",
        broken=body(user(result("a"))),
        kept=body(user(result("a")), thread=CONTINUE),
    ),
    Case(
        code="tools.orphan_result",
        because="only the first turn of a thread's body may do so",
        broken=body(user(result("a")), assistant("ok"), user(result("a")), thread=CONTINUE),
        kept=body(user(result("a")), assistant("ok"), user("hello"), thread=CONTINUE),
        address="messages.2.content.0",
    ),
    Case(
        code="tools.results_first",
        because="results come before text",
        broken=body(*ASKED, user(result("a"), "wait", result("b"))),
        kept=body(*ASKED, user(result("a"), result("b"))),
        address="messages.2.content.2",
    ),
    Case(
        code="tools.duplicate_call",
        because="the ids of calls differ in the whole conversation",
        broken=body(
            *(user("go"), assistant(call("a")), user(result("a"))),
            *(assistant(call("a")), user(result("a"))),
        ),
        kept=body(
            *(user("go"), assistant(call("a")), user(result("a"))),
            *(assistant(call("b")), user(result("b"))),
        ),
        address="messages.3.content.0",
    ),
    Case(
        code="tools.duplicate_result",
        because="a call has one result",
        broken=body(*ASKED, user(result("a"), result("b"), result("a"))),
        kept=body(*ASKED, user(result("a"), result("b"))),
        address="messages.2.content.2",
    ),
    Case(
        code="tools.block_role",
        because="a user does not call tools",
        broken=body(user(call("a"))),
        kept=body(user("go"), assistant(call("a")), user(result("a"))),
        address="messages.0.content.0",
    ),
    Case(
        code="tools.block_role",
        because="an assistant does not answer calls",
        broken=body(user("go"), assistant(result("a"), "done")),
        kept=body(user("go"), assistant("done")),
    ),
    Case(
        code="tools.text_after_results",
        because="a turn does not end with text behind results",
        broken=body(*ASKED, user(result("a"), result("b"), "go on")),
        kept=body(*ASKED, user(result("a"), result("b"))),
        address="messages.2.content.2",
    ),
)

SERVER_TOOLS = (
    Case(
        code="server_tools.orphan_result",
        because="a result stands behind its call",
        broken=body(user("go"), assistant(server_result("s"), "ok"), user("go")),
        kept=body(user("go"), assistant(server_call("s"), server_result("s")), user("go")),
        address="messages.1.content.0",
    ),
    Case(
        code="server_tools.orphan_result",
        because="a thread may go on behind the call",
        broken=body(user("go"), assistant(server_result("s")), user("go")),
        kept=body(user("go"), assistant(server_result("s")), user("go"), thread=CONTINUE),
    ),
    Case(
        code="server_tools.orphan_result",
        because="a client's result does not answer a server's call",
        broken=body(user("go"), assistant(server_result("s")), user("go")),
        kept=body(
            *(user("go"), assistant({**server_call("s"), "type": "mcp_tool_use"})),
            *(assistant({**server_result("s"), "type": "mcp_tool_result"}), user("go")),
        ),
    ),
    Case(
        code="server_tools.unresulted",
        because="what is not running any more has its result",
        broken=body(
            *(user("go"), assistant(call("a"), server_call("s")), user(result("a"))),
            *(assistant("ok"), user("go")),
        ),
        kept=body(
            *(user("go"), assistant(call("a"), server_call("s")), user(result("a"))),
            *(assistant(server_result("s"), "ok"), user("go")),
        ),
        address="messages.1",
    ),
    Case(
        code="server_tools.unresulted",
        because="code that called tools twice is still running",
        broken=body(
            *(user("go"), assistant(server_call("s"), call("a", caller=CODE)), user(result("a"))),
            *(assistant(call("b")), user(result("b"))),
        ),
        kept=body(
            *(user("go"), assistant(server_call("s"), call("a", caller=CODE)), user(result("a"))),
            *(assistant(call("b", caller=CODE)), user(result("b"))),
        ),
    ),
    Case(
        code="server_tools.pending",
        because="while a server tool runs, the user only answers calls",
        broken=body(user("go"), assistant(server_call("s")), user("and?")),
        kept=body(
            *(user("go"), assistant(server_call("s"), call("a")), user(result("a"))),
        ),
        address="messages.2.content.0",
    ),
    Case(
        code="tools.programmatic",
        because="calls made by code are answered and nothing is said",
        broken=body(
            *(
                user("go"),
                assistant(call("a", caller=CODE)),
                user(
                    result("a"), image := {"type": "image", "source": {"type": "url", "url": "x"}}
                ),
            ),
        ),
        kept=body(
            *(user("go"), assistant(call("a", caller={"type": "direct"}))),
            *(user(result("a"), image),),
        ),
        address="messages.2.content.1",
    ),
)

TOOLS = (
    Case(
        code="tools.all_deferred",
        because="one tool is loaded from the start",
        broken=body(tools=[tool("a", defer_loading=True), tool("b", defer_loading=True)]),
        kept=body(tools=[tool("a", defer_loading=True), tool("b", defer_loading=False)]),
        address="tools",
    ),
    Case(
        code="tools.duplicate_name",
        because="names differ",
        broken=body(tools=[tool("a"), tool("a")]),
        kept=body(tools=[tool("a"), tool("b"), {"type": "mcp_toolset"}, {"type": "mcp_toolset"}]),
        address="tools",
    ),
    Case(
        code="tool_choice.undefined",
        because="a forced tool is among the tools",
        broken=body(tools=READ, tool_choice={"type": "tool", "name": "write"}),
        kept=body(tools=READ, tool_choice={"type": "tool", "name": "read"}),
        address="tool_choice.name",
    ),
    Case(
        code="tool_choice.undefined",
        because="nothing can be forced without tools",
        broken=body(tool_choice={"type": "any"}),
        kept=body(tools=READ, tool_choice={"type": "any"}),
        address="tool_choice",
    ),
    Case(
        code="tool_choice.undefined",
        because="a toolset defines more tools than the body shows",
        broken=body(tools=READ, tool_choice={"type": "tool", "name": "write"}),
        kept=body(
            tools=[*READ, {"type": "mcp_toolset"}], tool_choice={"type": "tool", "name": "write"}
        ),
    ),
    Case(
        code="tools.undefined_in_history",
        because="a tool that was called stays defined",
        broken=body(user("go"), assistant(call("a", name="write")), user(result("a")), tools=READ),
        kept=body(user("go"), assistant(call("a", name="read")), user(result("a")), tools=READ),
        address="messages.1.content.0",
    ),
    Case(
        code="tools.undefined_in_history",
        because="servers define more tools than the body shows",
        broken=body(user("go"), assistant(call("a")), user(result("a")), tools=[tool("b")]),
        kept=body(
            *(user("go"), assistant(call("a")), user(result("a"))),
            tools=[tool("b")],
            mcp_servers=[{"name": "files"}],
        ),
    ),
)

CASES = (*ROLES, *CALLS, *SERVER_TOOLS, *TOOLS)
