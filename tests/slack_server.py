"""A Slack of our own on a local port: the methods we use, with the limits of Slack's documentation, its refusals, and faults on demand.

The limits are written here anew, from the reference of Block Kit, and not taken from the package that is tested.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "xoxb-1234-very-secret"
CHANNELS = {"#alerts": "C0000001", "C0000001": "C0000001", "#risk": "C0000002", "C0000002": "C0000002"}  # name or id -> id
TEXT_KINDS = {"plain_text", "mrkdwn"}


def long(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def problems(blocks: Any) -> list[str]:
    """What Slack would refuse with invalid_blocks."""
    if not isinstance(blocks, list):
        return ["blocks is no list"]
    found = [f"{len(blocks)} blocks"] if len(blocks) > 50 else []
    for number, block in enumerate(blocks):
        found += [f"block {number} ({block.get('type')}): {problem}" for problem in _of_block(block)]
    return found


def _of_block(block: dict[str, Any]) -> Iterator[str]:
    match block.get("type"):
        case "header":
            yield from _text(block.get("text"), 150, {"plain_text"})
        case "section":
            if "text" not in block and not block.get("fields"):
                yield "neither text nor fields"
            if "text" in block:
                yield from _text(block["text"], 3000)
            if "fields" in block and not 1 <= len(block["fields"]) <= 10:
                yield f"{len(block['fields'])} fields"
            for each in block.get("fields", []):
                yield from _text(each, 2000)
        case "context":
            if not 1 <= len(block.get("elements", [])) <= 10:
                yield "elements"
            for each in block["elements"]:
                yield from _text(each, 3000)
        case "actions":
            if not 1 <= len(block.get("elements", [])) <= 25:
                yield "elements"
            for each in block["elements"]:
                yield from _text(each.get("text"), 75, {"plain_text"})
                if not re.fullmatch(r"https?://\S+", each.get("url", "")) or long(each["url"]) > 3000:
                    yield f"url {each.get('url')!r:.80}"
        case "divider":
            return
        case other:
            yield f"unknown type {other!r}"


def _text(text: Any, longest: int, kinds: set[str] = TEXT_KINDS) -> Iterator[str]:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        yield f"text is {text!r:.80}"
        return
    if not 1 <= long(text.get("text", "")) <= longest:
        yield f"text of {long(text.get('text', ''))} characters, 1 to {longest} allowed"
    if set(text) - ({"type", "text", "emoji"} if text["type"] == "plain_text" else {"type", "text", "verbatim"}):
        yield f"keys {sorted(text)}"


@dataclass
class Slack:
    """What was said to it. `faults` are answered first, one a call: an HTTP status with headers, an error code, or "hang up"."""

    url: str = ""
    channels: dict[str, str] = field(default_factory=lambda: dict(CHANNELS))
    messages: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    faults: list[Any] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def threads(self) -> list[dict[str, Any]]:
        """The first messages."""
        return [message for message in self.messages if "thread_ts" not in message]

    def replies(self, thread: dict[str, Any]) -> list[dict[str, Any]]:
        return [message for message in self.messages if message.get("thread_ts") == thread["ts"]]

    def methods(self) -> dict[str, int]:
        counted: dict[str, int] = {}
        for method, _ in self.calls:
            counted[method] = counted.get(method, 0) + 1
        return counted

    def answer(self, method: str, arguments: dict[str, Any], authorization: str) -> dict[str, Any]:
        if authorization != f"Bearer {TOKEN}":
            return {"ok": False, "error": "invalid_auth"}
        handler = {
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.replies": self._history,
        }[method]
        return handler(arguments)

    def _post(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self.channels.get(arguments["channel"])
        if channel is None:
            return {"ok": False, "error": "channel_not_found"}
        if (refusal := self._invalid(arguments)) is not None:
            return refusal
        message = {**arguments, "channel": channel, "ts": f"1700000000.{len(self.messages):06}"}
        if "thread_ts" in arguments and not any(each["ts"] == arguments["thread_ts"] for each in self.messages):
            return {"ok": False, "error": "thread_not_found"}
        self.messages.append(message)
        return {"ok": True, "channel": channel, "ts": message["ts"]}

    def _update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if (refusal := self._invalid(arguments)) is not None:
            return refusal
        for message in self.messages:
            if (message["channel"], message["ts"]) == (arguments["channel"], arguments["ts"]):
                message.update(text=arguments["text"], blocks=arguments["blocks"], edits=message.get("edits", 0) + 1)
                return {"ok": True, "channel": arguments["channel"], "ts": arguments["ts"]}
        return {"ok": False, "error": "message_not_found"}

    def _history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not re.fullmatch(r"C\d+", arguments["channel"]):
            return {"ok": False, "error": "channel_not_found"}
        found = [message for message in self.messages if message["channel"] == arguments["channel"]]
        if "ts" in arguments:
            found = [message for message in found if arguments["ts"] in (message["ts"], message.get("thread_ts"))]
        shown = [message if arguments.get("include_all_metadata") else {"ts": message["ts"]} for message in reversed(found)]
        return {"ok": True, "messages": shown[: int(arguments["limit"])]}

    def _invalid(self, arguments: dict[str, Any]) -> dict[str, Any] | None:
        wrong = problems(arguments["blocks"])
        wrong += [f"text of {long(arguments['text'])} characters"] if long(arguments["text"]) > 3000 else []
        self.refused += wrong
        return {"ok": False, "error": "invalid_blocks", "response_metadata": {"messages": wrong}} if wrong else None


@contextmanager
def slack_server() -> Iterator[Slack]:
    slack = Slack()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(slack))
    slack.url = f"http://127.0.0.1:{server.server_port}/api/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield slack
    finally:
        server.shutdown()
        server.server_close()


def _handler(slack: Slack) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Type"].startswith("application/json"):
                return self._respond(json.loads(body))
            return self._respond({name: values[0] for name, values in parse_qs(body.decode()).items()})

        def _respond(self, arguments: dict[str, Any]) -> None:
            method = urlsplit(self.path).path.rpartition("/")[2]
            with slack.lock:
                slack.calls.append((method, arguments))
                fault = slack.faults.pop(0) if slack.faults else None
                if fault is None:
                    return self._send(200, {}, slack.answer(method, arguments, self.headers["Authorization"]))
            if fault == "hang up":
                self.connection.close()
                return None
            if isinstance(fault, str):
                return self._send(200, {}, {"ok": False, "error": fault})
            status, headers = fault
            return self._send(status, headers, {"ok": False, "error": "ratelimited"} if status == 429 else None)

        def _send(self, status: int, headers: dict[str, str], document: dict[str, Any] | None) -> None:
            body = json.dumps(document).encode() if document is not None else b"<html>Bad gateway</html>"
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler
