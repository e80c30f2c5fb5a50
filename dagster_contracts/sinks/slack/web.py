"""Calls of Slack's Web API, each with a timeout, and what its refusals mean. The token is in no message, log line or repr."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dagster_contracts.core.errors import DagsterContractsError

if TYPE_CHECKING:
    from slack_sdk import WebClient

KIND = "dagster_contracts_alert"  # of the metadata by which a message is found again
_NO_SUCH_CHANNEL = frozenset(
    {"channel_not_found", "not_in_channel", "is_archived", "restricted_action", "restricted_action_read_only_channel", "no_permission"}
)
_NO_SUCH_MESSAGE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"})
_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_TRY_AGAIN = _LIMITED | {"internal_error", "fatal_error", "service_unavailable"}
_SOUGHT = 200  # messages looked through for one that may have been posted


class SlackRefused(DagsterContractsError):
    """Slack said no, by `code`, in words of its API."""

    def __init__(self, method: str, code: str, advice: str = ""):
        super().__init__(f"Slack refused {method}: {code}{f'; {advice}' if advice else ''}")
        self.code = code


class NoSuchChannel(SlackRefused):
    """The bot cannot write to this channel."""


class NoSuchMessage(SlackRefused):
    """The message is gone, or may not be edited any more."""


class SlackBusy(DagsterContractsError):
    """Slack is out of reach, or asks to be left alone for `retry_after`."""

    def __init__(self, message: str, retry_after: timedelta | None = None):
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Posted:
    """Where a message stands: the channel's id, and Slack's `ts`."""

    channel: str
    place: str


class Web:
    """`token` is asked for with each delivery, so that it is nowhere else. Raises SlackBusy and SlackRefused."""

    def __init__(self, token: Callable[[], str], base_url: str, timeout: int):
        self._token, self._base_url, self._timeout = token, base_url, timeout

    def post(self, channel: str, text: str, blocks: list[dict[str, Any]], *, name: str, thread: str | None = None) -> Posted:
        """Post a message that is known by `name` from here on; below the message `thread`, if given."""
        said = {"event_type": KIND, "event_payload": {"id": name}}
        answer = self._call(
            "chat.postMessage",
            {"channel": channel, "text": text, "blocks": blocks, "metadata": said, "unfurl_links": False, "unfurl_media": False}
            | ({"thread_ts": thread} if thread else {}),
        )
        return Posted(str(answer["channel"]), str(answer["ts"]))

    def update(self, at: Posted, text: str, blocks: list[dict[str, Any]], *, name: str) -> None:
        said = {"event_type": KIND, "event_payload": {"id": name}}
        self._call("chat.update", {"channel": at.channel, "ts": at.place, "text": text, "blocks": blocks, "metadata": said})

    def find(self, channel: str, name: str, *, thread: str | None = None) -> Posted | None:
        """The message known by `name` among the newest of a channel (an id), or of a thread. Needs the scope channels:history."""
        method = "conversations.replies" if thread else "conversations.history"
        query = {"channel": channel, "limit": _SOUGHT, "include_all_metadata": True} | ({"ts": thread} if thread else {})
        for message in self._call(method, query).get("messages") or []:
            if ((message.get("metadata") or {}).get("event_payload") or {}).get("id") == name:
                return Posted(channel, str(message["ts"]))
        return None

    def _call(self, method: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        from http.client import HTTPException

        from slack_sdk.errors import SlackApiError, SlackClientError

        try:
            return self._answer(self._client(), method, arguments)
        except SlackApiError as error:
            problem = _problem(method, error)
        except (OSError, HTTPException, SlackClientError, ValueError) as error:  # unreachable, cut off, or an answer that is not Slack's
            problem = SlackBusy(f"Slack is out of reach ({method}: {type(error).__name__})")
        raise problem from None  # their words quote the request

    def _answer(self, client: WebClient, method: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if method.startswith("conversations."):
            data = client.api_call(method, params=dict(arguments)).data  # these methods take no JSON
        else:
            data = client.api_call(method, json=dict(arguments)).data
        if not isinstance(data, dict):
            raise ValueError("no JSON object")
        return data

    def _client(self) -> WebClient:
        from slack_sdk import WebClient

        return WebClient(token=self._token(), base_url=self._base_url, timeout=self._timeout, retry_handlers=[])


def _problem(method: str, error: Any) -> DagsterContractsError:
    response = error.response
    status = getattr(response, "status_code", 0)
    data = getattr(response, "data", None)
    code = str(data.get("error", "unknown_error"))[:100] if isinstance(data, dict) else "unknown_error"
    if status == 429 or status >= 500 or code in _TRY_AGAIN or not isinstance(data, dict):
        what = "asks to be left alone" if status == 429 or code in _LIMITED else "is out of reach"
        return SlackBusy(f"Slack {what} ({method}: {code}, HTTP {status})", _retry_after(getattr(response, "headers", {})))
    if code in _NO_SUCH_CHANNEL:
        return NoSuchChannel(method, code, "invite the bot to the channel, or name another")
    if code in _NO_SUCH_MESSAGE:
        return NoSuchMessage(method, code)
    return SlackRefused(method, code, "check the bot token and its scopes (chat:write)" if "auth" in code or "scope" in code else "")


def _retry_after(headers: Mapping[str, Any]) -> timedelta | None:
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    text = str(value[0] if isinstance(value, list) and value else value)
    return timedelta(seconds=min(int(text), 3600)) if text.isdecimal() else None
