"""A conversation cut into the pieces a person can recognise: this file, that command's output."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Raw, Struct

from farthing.traces.blocks import ContentBlock, content_blocks
from farthing.traces.format import Conversation
from farthing.traces.sizes import estimate_tokens

__all__ = ["PREFIX", "Piece", "ToolUse", "cut"]

PREFIX: Final = "hidden prefix"

_IMAGE_MARKS: Final = (b'"type":"image"', b'"type": "image"')
_DOCUMENT_MARKS: Final = (b'"type":"document"', b'"type": "document"')
_LONGEST_NAME: Final = 70


class _ToolInput(Struct):
    file_path: str | None = None
    notebook_path: str | None = None
    path: str | None = None
    command: str | None = None
    url: str | None = None
    subagent_type: str | None = None
    skill: str | None = None


class _ToolDefinition(Struct):
    name: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A tool call of an answer, by what it was asked to look at."""

    id: str
    name: str
    #: the name with the kind of sub-agent, where it starts one
    label: str
    #: the file or folder it names, if it names one
    path: str | None
    #: the program a shell command starts with
    program: str | None
    arguments: bytes


@dataclass(slots=True, kw_only=True)
class Piece:
    """Consecutive bytes of a prompt with one origin."""

    #: "hidden prefix", "system", "tool definition", "user text", "assistant text", "thinking",
    #: "tool call", "tool result", "image", "document", "other"
    kind: str
    #: the tool it belongs to
    tool: str | None = None
    #: what to call it in a list; never its text
    name: str = ""
    estimated_tokens: float = 0.0
    #: index of the first call that carried it
    entered: int = 0
    #: a fingerprint of its content within this process, for finding repeats
    content_key: int = 0
    use: ToolUse | None = None
    #: the tokens it took, once the provider's counts were divided
    tokens: float = field(default=0.0, init=False)


_input_decoder = msgspec.json.Decoder(_ToolInput)
_tools_decoder = msgspec.json.Decoder(list[Raw])
_definition_decoder = msgspec.json.Decoder(_ToolDefinition)


def cut(conversation: Conversation) -> list[Piece]:
    """All pieces in the order of the prompt; those no call carried are left out."""
    ends = [call.prompt_messages for call in conversation.calls]
    pieces = list(_prefix_pieces(conversation))
    uses: dict[str, ToolUse] = {}
    for index, message in enumerate(conversation.messages):
        entered = bisect_right(ends, index)
        if entered >= len(ends):
            break
        for block in content_blocks(message.content):
            piece = _piece(block, message.role, uses, conversation.project)
            piece.entered = entered
            pieces.append(piece)
    return pieces


def _prefix_pieces(conversation: Conversation) -> Iterator[Piece]:
    if conversation.prefix_pad_tokens or conversation.tools_inferred:
        yield Piece(
            kind=PREFIX,
            name="system prompt and tools (not in the transcript)",
            estimated_tokens=conversation.prefix_pad_tokens,
        )
    if not conversation.tools_inferred:
        for raw in _tools(conversation.tools):
            size = estimate_tokens("tool", len(bytes(raw)))
            name = _tool_name(raw)
            yield Piece(kind="tool definition", tool=name, name=name, estimated_tokens=size)
    system = bytes(conversation.system)
    if len(system) > 2:
        size = estimate_tokens("text", len(system))
        yield Piece(kind="system", name="system prompt", estimated_tokens=size)


def _tools(raw: Raw) -> list[Raw]:
    try:
        return _tools_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []


def _tool_name(raw: Raw) -> str:
    try:
        definition = _definition_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "unknown"
    return definition.name or definition.type or "unknown"


def _piece(block: ContentBlock, role: str, uses: dict[str, ToolUse], root: str | None) -> Piece:
    match block.type:
        case "text":
            size = estimate_tokens("text", len(bytes(block.text)))
            kind = "assistant text" if role == "assistant" else "user text"
            return Piece(kind=kind, name=kind, estimated_tokens=size)
        case "thinking" | "redacted_thinking":
            # where the text is withheld, the signature still grows with it
            size = max(len(bytes(block.thinking)), len(bytes(block.signature)) // 2)
            estimate = estimate_tokens("thinking", size)
            return Piece(kind="thinking", name="thinking", estimated_tokens=estimate)
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            return _call_piece(block, uses)
        case "tool_result":
            return _result_piece(block, uses, root)
        case "image" | "document":
            size = estimate_tokens(block.type, len(bytes(block.source)))
            return Piece(kind=block.type, name=block.type, estimated_tokens=size)
        case _:
            size = len(bytes(block.content)) + len(bytes(block.text))
            return Piece(kind="other", name=block.type, estimated_tokens=int(size * 0.3))


def _call_piece(block: ContentBlock, uses: dict[str, ToolUse]) -> Piece:
    use = _tool_use(block)
    uses[use.id] = use
    size = estimate_tokens("tool_use", len(use.arguments))
    name = f"{use.name} call"
    return Piece(kind="tool call", tool=use.name, name=name, estimated_tokens=size, use=use)


def _tool_use(block: ContentBlock) -> ToolUse:
    arguments = bytes(block.input)
    try:
        given = _input_decoder.decode(arguments)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        given = _ToolInput()
    name = block.name or "unknown"
    return ToolUse(
        id=block.id or "",
        name=name,
        label=f"{name} ({given.subagent_type})" if given.subagent_type else name,
        path=given.file_path or given.notebook_path or given.path,
        program=_program(given.command),
        arguments=arguments,
    )


def _program(command: str | None) -> str | None:
    """The program and, where it has one, the subcommand: never arguments, they may be secret."""
    if not command:
        return None
    words = [word for word in command.split()[:8] if "=" not in word]
    while len(words) > 2 and words[0] in {"cd", "sudo", "env", "time"}:
        words = words[words.index("&&") + 1 :] if "&&" in words else words[1:]
    if not words:
        return None
    program = words[0].rpartition("/")[2]
    if program in {"git", "go", "npm", "cargo", "docker", "gh", "make", "uv", "pnpm", "kubectl"}:
        rest = words[1] if len(words) > 1 else ""
        return f"{program} {rest}".strip() if rest.replace("-", "").isalnum() else program
    return program


def _result_piece(block: ContentBlock, uses: dict[str, ToolUse], root: str | None) -> Piece:
    raw = bytes(block.content)
    use = uses.get(block.tool_use_id or "")
    tool = use.label if use else "unknown"
    has_image = any(mark in raw for mark in _IMAGE_MARKS)
    mixed = has_image or any(mark in raw for mark in _DOCUMENT_MARKS)
    size = _mixed_size(raw) if mixed else estimate_tokens("tool_result", len(raw))
    return Piece(
        kind="image" if has_image else "tool result",
        tool=tool,
        name=_shorten(_result_name(use, root)),
        estimated_tokens=size,
        content_key=hash(raw),
        use=use,
    )


def _mixed_size(raw: bytes) -> int:
    """Blocks one by one: an image costs by its pixels, not by its base64."""
    return sum(
        estimate_tokens(block.type, len(bytes(block.text)) + len(bytes(block.source)))
        for block in content_blocks(raw)
    )


def _result_name(use: ToolUse | None, root: str | None) -> str:
    if use is None:
        return "result of an unknown tool"
    if use.path:
        path = use.path
        if root and path.startswith(root + "/"):
            path = path[len(root) + 1 :]
        return f"{use.label} {path}"
    return f"{use.label} {use.program}" if use.program else use.label


def _shorten(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return name
    half = _LONGEST_NAME // 2 - 1
    return f"{name[:half]}…{name[-half:]}"
