"""What both of OpenAI's APIs share: how they refuse, and how content is read.

Knows nothing of HTTP, nor of scripts.
"""

from __future__ import annotations

from pytest_ale.testing.conversation import Json, many, word

__all__ = ["pictures", "refusal", "text"]

ERRORS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "permission_denied"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def refusal(status: int, message: str, retry_after: float | None) -> Json:
    kind, code = ERRORS.get(
        status, ("server_error" if status >= 500 else "invalid_request_error", None)
    )
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(word(item.get("text")) for item in many(content))


def pictures(content: object) -> int:
    return sum(item.get("type") in ("input_image", "image_url") for item in many(content))
