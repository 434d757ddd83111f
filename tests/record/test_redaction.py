from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnbench.record.redaction import redacted, redacted_values

_SECRET = st.text("abcXYZ019!#$%^*()_+~/.", min_size=8, max_size=30).map(lambda text: f"S{text}S")
_SCHEME = st.sampled_from(["postgresql", "mysql+pymysql", "http", "https", "redis", "ssh"])


@given(scheme=_SCHEME, user=st.text("abc_1", min_size=1, max_size=5), secret=_SECRET)
def test_the_password_of_an_address_never_stays(scheme: str, user: str, secret: str) -> None:
    text = redacted(f"could not reach {scheme}://{user}:{secret}@host.org:5432/base: refused")
    assert secret not in text
    assert text.startswith("could not reach ")
    assert "@host.org:5432/base: refused" in text


@given(
    name=st.sampled_from(
        ["password", "DB_PASSWORD", "MLFLOW_TRACKING_TOKEN", "aws_secret_access_key", "api-key", "client.secret"]
    ),
    form=st.sampled_from(["{}={}", "{}='{}'", '"{}": "{}"', "{} = '{}'", "--{} {}", "+{}={}", "'{}': '{}'"]),
    secret=_SECRET,
)
def test_the_value_under_a_secret_name_never_stays(name: str, form: str, secret: str) -> None:
    assert secret not in redacted(f"python -m bnbench {form.format(name, secret)} seed=3")
    assert redacted(f"{form.format(name, secret)} seed=3").endswith(" seed=3")


@pytest.mark.parametrize(
    "token",
    [
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2" * 9,
        "glpat-" + "a1B2" * 5,
        "hf_" + "a1B2" * 8,
        "sk-" + "a1B2" * 10,
        "AKIA" + "ABCD1234" * 2,
        "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_a_token_is_known_by_its_form(token: str) -> None:
    assert redacted(f"line one {token} end") == "line one *** end"


def test_secrets_of_the_environment_are_hidden_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct horse")
    monkeypatch.setenv("SOME_TOKEN", "true")
    monkeypatch.setenv("PWD", "/home/somebody")
    assert redacted("OSError: 'correct horse' is true in /home/somebody") == "OSError: '***' is true in /home/somebody"


@pytest.mark.parametrize(
    "text",
    [
        "python -m bnbench +sweep=placement 'seed=range(3)' optimizer.lr=0.1,0.3",
        "sqlite:////home/a@b:c/runs/mlflow.db",
        "git@github.com:somebody/bnbench.git",
        "http://127.0.0.1:5000/#/experiments/1",
        '  File "/a/b.py", line 3, in fit\n    raise ValueError("key=0123456789abcdef")',
    ],
)
def test_what_holds_no_secret_is_left_as_it_is(text: str) -> None:
    assert redacted(text) == text


def test_a_configuration_keeps_its_shape_and_its_numbers() -> None:
    config = {
        "tracking": {"uri": "mysql://me:hunter22@host/db", "password": "hunter22"},
        "seeds": [0, 1],
        "lr": 0.1,
        "root": None,
        "api_key": "",
        "words": ["token=abc", "norm=batch"],
    }
    assert redacted_values(config) == {
        "tracking": {"uri": "mysql://me:***@host/db", "password": "***"},
        "seeds": [0, 1],
        "lr": 0.1,
        "root": None,
        "api_key": "",
        "words": ["token=***", "norm=batch"],
    }
