"""Cases of marks and of what stands in a block."""

from __future__ import annotations

from tests.unit.wire.validity.bodies import (
    Case,
    Json,
    assistant,
    body,
    call,
    image,
    mark,
    model,
    result,
    text,
    tool,
    user,
)

MARKED: Json = text(**mark())
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "x"}
NEW = {"api_version": "2026-10-21"}
CITED: Json = {"citations": [{"type": "char_location"}]}
LARGEST = 10 * 1024 * 1024

MARKS = (
    Case(
        code="cache.too_many",
        because="four marks are the limit",
        broken=body(user(*[MARKED] * 5)),
        kept=body(user(*[MARKED] * 4, "x")),
        address="",
    ),
    Case(
        code="cache.too_many",
        because="marks on tools and system count too",
        broken=body(user(*[MARKED] * 3), tools=[tool(**mark())], system=[MARKED]),
        kept=body(user(*[MARKED] * 2), tools=[tool(**mark())], system=[MARKED]),
    ),
    Case(
        code="cache.too_many",
        because="the automatic mark counts",
        broken=body(user(*[MARKED] * 4, "x"), **mark()),
        kept=body(user(*[MARKED] * 3, "x"), **mark()),
    ),
    Case(
        code="cache.too_many",
        because="the automatic mark does not count on a block that is marked alike",
        broken=body(user(*[MARKED] * 4, "x"), **mark()),
        kept=body(user(*[MARKED] * 4), **mark()),
    ),
    Case(
        code="cache.ttl_order",
        because="an hour does not come after five minutes",
        broken=body(user(text(**mark("5m")), text(**mark("1h")))),
        kept=body(user(text(**mark("1h")), text(**mark("1h")), text(**mark("5m")))),
        address="messages.0.content.1.cache_control.ttl",
    ),
    Case(
        code="cache.ttl_order",
        because="tools come before system and messages",
        broken=body(user("hello"), tools=[tool(**mark())], system=[text(**mark("1h"))]),
        kept=body(user(MARKED), tools=[tool(**mark("1h"))], system=[text(**mark("1h"))]),
        address="system.0.cache_control.ttl",
    ),
    Case(
        code="cache.ttl_order",
        because="the automatic mark has its place in the order",
        broken=body(user(MARKED, "x"), **mark("1h")),
        kept=body(user(text(**mark("1h")), "x"), **mark("5m")),
        address="cache_control.ttl",
    ),
    Case(
        code="cache.ttl_order",
        because="the automatic mark passes over what cannot carry it",
        broken=body(user(text(**mark("5m")), "x"), assistant(THOUGHT), **mark("1h")),
        kept=body(user(text(**mark("1h"))), assistant(THOUGHT), **mark("1h")),
    ),
    Case(
        code="cache.automatic_ttl",
        because="the automatic mark agrees with the mark on its block",
        broken=body(user(text(**mark("1h"))), **mark("5m")),
        kept=body(user(text(**mark("1h"))), **mark("1h")),
        address="cache_control.ttl",
    ),
    Case(
        code="cache.value",
        because="five minutes and one hour are all there is",
        broken=body(user(text(**mark("2h")))),
        kept=body(user(text(**mark("1h")))),
        address="messages.0.content.0.cache_control.ttl",
    ),
    Case(
        code="cache.value",
        because="the automatic mark has the same lifetimes",
        broken=body(user("x"), **mark("2h")),
        kept=body(user("x"), **mark("5m")),
        address="cache_control.ttl",
    ),
    Case(
        code="cache.value",
        because="a mark is ephemeral",
        broken=body(user(text(cache_control={"type": "persistent"}))),
        kept=body(user(text(cache_control=None))),
        address="messages.0.content.0.cache_control.type",
    ),
    Case(
        code="cache.value",
        because="the automatic mark is an object",
        broken=body(user("x"), cache_control="ephemeral"),
        kept=body(user("x"), cache_control=None),
        address="cache_control.type",
    ),
    Case(
        code="cache.value",
        because="a mark inside a result stands for the result's",
        broken=body(*(user("go"), assistant(call("a"))), user(result("a", **mark("2h")))),
        kept=body(*(user("go"), assistant(call("a"))), user(result("a", content=[MARKED]))),
    ),
    Case(
        code="cache.on_thinking",
        because="thinking carries no mark",
        broken=body(user("go"), assistant({**THOUGHT, **mark()}, "ok"), user("go")),
        kept=body(user("go"), assistant(THOUGHT, text(**mark())), user("go")),
        address="messages.1.content.0.cache_control",
    ),
    Case(
        code="cache.on_deferred_tool",
        because="a deferred tool is not in the prefix",
        broken=body(tools=[tool("a"), tool("b", defer_loading=True, **mark())]),
        kept=body(tools=[tool("a", **mark()), tool("b", defer_loading=True)]),
        address="tools.1",
    ),
)

EMPTINESS = (
    Case(
        code="content.empty_text",
        because="a text block has a text",
        broken=body(user("go"), assistant("", "ok"), user("go")),
        kept=body(user("go"), assistant("ok"), user("go")),
        address="messages.1.content.0",
    ),
    Case(
        code="content.empty_text",
        because="an empty system string is accepted, an empty system block is not",
        broken=body(system=[text("")]),
        kept=body(system=""),
        address="system.0",
    ),
    Case(
        code="content.empty_user",
        because="a user says something",
        broken=body({"role": "user", "content": ""}),
        kept=body({"role": "user", "content": "x"}),
        address="messages.0",
    ),
    Case(
        code="content.empty_user",
        because="an assistant's message may be empty",
        broken=body(user("x"), assistant(), user()),
        kept=body(user("x"), assistant(), {"role": "assistant", "content": ""}, user("x")),
        address="messages.2",
    ),
    Case(
        code="content.blank_user",
        because="messages of one role in a row are one turn",
        broken=body(user(" "), user("\n")),
        kept=body(user(" "), user("hello")),
        address="messages.0",
    ),
    Case(
        code="content.blank_user",
        because="a user says more than whitespace",
        broken=body({"role": "user", "content": " \n\t"}),
        kept=body({"role": "user", "content": " \n\t."}),
        address="messages.0",
    ),
    Case(
        code="content.blank_user",
        because="whitespace beside other content is accepted",
        broken=body(user(" ", "\r\f")),
        kept=body(user(" ", image())),
    ),
)

CITATIONS = (
    Case(
        code="content.assistant_document",
        because="an assistant sends no document",
        broken=body(user("x"), assistant({"type": "document", "source": {}}), user("x")),
        kept=body(user("x", {"type": "document", "source": {}})),
        options=NEW,
        address="messages.1.content.0",
    ),
    Case(
        code="content.user_citations",
        because="a user does not cite",
        broken=body(user(text(**CITED))),
        kept=body(user(text(citations=[])), assistant(text(**CITED)), user("citations")),
        options=NEW,
        address="messages.0.content.0.citations",
    ),
    Case(
        code="content.user_citations",
        because="a search result of the user's does not cite",
        broken=body(user({"type": "search_result", "content": [text("x"), text(**CITED)]})),
        kept=body(
            user({"type": "search_result", "content": [text("x")], "citations": {"enabled": True}})
        ),
        options=NEW,
    ),
    Case(
        code="content.user_citations",
        because="a search result without a list of texts does not cite",
        broken=body(user({"type": "search_result", "content": [text(**CITED)]})),
        kept=body(
            user({"type": "search_result", "citations": {"enabled": True}, "content": "x"}),
            user({"type": "search_result", "citations": {"enabled": True}}),
        ),
        options=NEW,
    ),
)

IMAGES = (
    Case(
        code="images.too_many",
        because="a model reads so many images and no more",
        broken=body(user(*[image()] * 3)),
        kept=body(user(*[image()] * 2)),
        traits=model(max_images=2),
        address="messages",
    ),
    Case(
        code="images.too_many",
        because="images inside results count",
        broken=body(
            *(user(image()), assistant(call("a"))),
            user(result("a", content=[text(), image(), image()])),
        ),
        kept=body(
            *(user(image()), assistant(call("a"))),
            user(result("a", content=[text('"image"'), image()])),
        ),
        traits=model(max_images=2),
    ),
    Case(
        code="images.too_large",
        because="an image has ten megabytes and no more",
        broken=body(user(image("A" * (LARGEST + 1)))),
        kept=body(user(image("A" * LARGEST))),
        address="messages.0.content.0.source.base64",
    ),
    Case(
        code="images.too_large",
        because="an image elsewhere has no size here",
        broken=body(
            *(user("go"), assistant(call("a"))),
            user(result("a", content=[image("A" * (LARGEST + 1))])),
        ),
        kept=body(
            *(user({"type": "image"}), assistant(call("a"))),
            user(result("a", content=[{"type": "image"}])),
            user({"type": "image", "source": {"type": "url", "url": "x"}}),
        ),
        address="messages.2.content.0.content.0.source.base64",
    ),
)

CASES = (*MARKS, *EMPTINESS, *CITATIONS, *IMAGES)
