"""Takes secrets out of what is recorded: commands, configurations, addresses and tracebacks."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

_HIDDEN = "***"
_SHORTEST = 8  # characters; shorter values of secret variables are not hidden, as "true" occurs everywhere
_FOLDERS = {"PWD", "OLDPWD"}  # variables that are named like passwords but are not
_NAME = r"[\w.-]*(?:password|passwd|passphrase|pwd|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key)"
_NAME += r"[\w.-]*"
_PATTERNS = (
    # The password in an address, up to its last @; in a web address all before it, as tokens may stand there alone.
    (re.compile(r"(https?://)[^\s/'\"<>]*@", re.I), rf"\1{_HIDDEN}@"),
    (re.compile(r"(\w://[^\s:/@'\"<>]*):(?:(?!://)[^\s'\"<>])*@"), rf"\1:{_HIDDEN}@"),
    # NAME=VALUE, NAME: VALUE, --name VALUE and their quoted forms.
    (
        re.compile(rf"(?P<head>(?P<q>['\"]?){_NAME}(?P=q)\s*[=:]\s*)(?:(['\"])(?:(?!\3).)*\3|[^\s,;&'\"]+)", re.I),
        "head",
    ),
    (re.compile(rf"(?P<head>--{_NAME}\s+)[^\s'\"-][^\s'\"]*", re.I), "head"),
    (re.compile(r"(?P<head>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.I), "head"),
    # Tokens that can be told by their prefixes: GitHub, GitLab, Hugging Face, OpenAI, Slack, AWS, Databricks, JWT.
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|sk-|xox[abprs]-|dapi)[\w-]{16,}"), _HIDDEN),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), _HIDDEN),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), _HIDDEN),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S), _HIDDEN),
)
_IS_SECRET = re.compile(_NAME, re.I)


def redacted(text: str) -> str:
    """The text with secrets hidden: those recognized by their form, and those in this process's environment.

    >>> redacted("postgresql://me:hunter2@host/db")
    'postgresql://me:***@host/db'
    >>> redacted("AWS_SECRET_ACCESS_KEY=abc123 python -m bnbench seed=0")
    'AWS_SECRET_ACCESS_KEY=*** python -m bnbench seed=0'
    """
    for value in sorted(_of_environment(), key=len, reverse=True):
        text = text.replace(value, _HIDDEN)
    for pattern, hidden in _PATTERNS:
        text = pattern.sub(_after_head if hidden == "head" else hidden, text)
    return text


def redacted_values(value: Any, key: str = "") -> Any:
    """Nested dicts and lists with secrets hidden as by `redacted`; a string whose key names a secret is hidden whole.

    >>> redacted_values({"tracking": {"uri": None, "password": "hunter2"}})
    {'tracking': {'uri': None, 'password': '***'}}
    """
    if isinstance(value, Mapping):
        return {name: redacted_values(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_values(item, key) for item in value]
    if not isinstance(value, str):
        return value
    return _HIDDEN if value and _IS_SECRET.fullmatch(key) else redacted(value)


def _after_head(match: re.Match[str]) -> str:
    return f"{match['head']}{_HIDDEN}"


def _of_environment() -> set[str]:
    names = (name for name in os.environ if _IS_SECRET.fullmatch(name) and name not in _FOLDERS)
    return {os.environ[name] for name in names if len(os.environ[name]) >= _SHORTEST}
