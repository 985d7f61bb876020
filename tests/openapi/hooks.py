"""Credentials for schemathesis: each request has a session of its own, for some of them end theirs."""

import atexit
import json
import os
import urllib.request

import schemathesis

KEY = os.environ["TESSERA_SERVICE_KEY"]
URL = os.environ["TESSERA_URL"]


# What each operation was answered; written down at the end, for the test to see that each has succeeded at least once.
ANSWERED = {}


@atexit.register
def write_down():
    with open("answered.json", "w") as file:
        json.dump({name: sorted(codes) for name, codes in ANSWERED.items()}, file)


@schemathesis.hook
def after_call(context, case, response):
    name = case.operation.definition.raw.get("operationId")
    ANSWERED.setdefault(name, set()).add(response.status_code)


@schemathesis.hook
def map_body(context, body):
    # Made-up tokens verify nothing: every other one is real.
    if context.operation.path == "/v1/verify" and isinstance(body, dict) and isinstance(body.get("token"), str):
        if len(body["token"]) % 2 == 0:
            body["token"] = new_token()
    return body


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    # So that one of a subject's sessions is ended more often than not.
    if context.operation.path.endswith("/{public_id}") and len(str(path_parameters.get("public_id"))) % 4 != 3:
        path_parameters["subject"] = "alice"
        path_parameters["public_id"] = public_id(new_token())
    if "/v1/connections/" in context.operation.path and len(str(path_parameters.get("connection"))) % 4 != 3:
        path_parameters["connection"] = new_connection()
    return path_parameters


@schemathesis.hook
def before_call(context, case, **kwargs):
    if case.operation.definition.raw.get("operationId") != "poll":
        return
    query = case.query or {}
    # A made-up cursor is one of another connection: every other one is of this one.
    if isinstance(query.get("after"), str) and len(query["after"]) % 2 == 0:
        query["after"] = str(case.path_parameters.get("connection")) + ":0.00000000"
    # Nothing is there to be waited for.
    if query.get("wait") in range(26) or "wait" not in query:
        query["wait"] = 0
    case.query = query


# The token of each connection's session.
TOKENS = {}


def new_connection():
    token = new_token()
    request = urllib.request.Request(
        URL + "/v1/connections",
        headers={"Authorization": "Bearer " + token, "Accept": "text/event-stream"},
    )
    with urllib.request.urlopen(request) as stream:
        for line in stream:
            if line.startswith(b"data: "):
                name = json.loads(line[len(b"data: "):])["connection"]
                TOKENS[name] = token
                return name


def public_id(token):
    request = urllib.request.Request(URL + "/v1/session", headers={"Authorization": "Bearer " + token})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["public_id"]


def new_token():
    request = urllib.request.Request(
        URL + "/v1/sessions",
        data=b'{"subject":"alice"}',
        headers={"X-Tessera-Service-Key": KEY, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["token"]


@schemathesis.auth(refresh_interval=None)
class Credentials:
    def get(self, case, context):
        return new_token()

    def set(self, case, token, context):
        case.headers = case.headers or {}
        path = case.operation.path
        if case.operation.definition.raw.get("operationId") in ("poll", "registerConnection"):
            token = TOKENS.get((case.path_parameters or {}).get("connection"), token)
            case.headers["Authorization"] = "Bearer " + token
            return
        of_service = ("/v1/sessions", "/v1/subjects/", "/v1/connections", "/v1/messages")
        by_service = path.startswith(of_service)
        if by_service or path == "/v1/session/authenticate":
            case.headers["X-Tessera-Service-Key"] = KEY
        if path.startswith("/v1/session") and not by_service or path == "/auth":
            case.headers["Authorization"] = "Bearer " + token
