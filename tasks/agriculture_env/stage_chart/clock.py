"""Times as hours since the paper's beginning, and as they are written."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

FORMAT = "%Y-%m-%dT%H:%M"


def moment(hours: float, params: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(params["monday"]) + timedelta(minutes=round(hours * 60))
