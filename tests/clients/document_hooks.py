"""What schemathesis has to be told about this API: values of its formats, and refusals that no schema can foretell.

schemathesis loads this module by itself (SCHEMATHESIS_HOOKS, set by document_checks.py).
"""

import datetime
import json
import os

import schemathesis
from hypothesis import strategies as st
from schemathesis.openapi.checks import RejectedPositiveData

# Formats of our own; the addresses lead to this machine or nowhere.
ADDRESSES = ["127.0.0.1:9", "localhost:1", "http://127.0.0.1:9", "https://[::1]:9/", "HTTP://127.0.0.1:9/path", "h", ""]
PROXIES = ["http://user:hunter2@127.0.0.1:9", "socks5://127.0.0.1:9", "https://[::1]:9", "127.0.0.1:9", "h", ""]
OPTIONS = ["text", "a,b=1,", "use_path_request_style,sigv2", "-o uid=5", "proxy=http://u:hunter2@127.0.0.1:9", ""]
schemathesis.openapi.format("endpoint", st.sampled_from(ADDRESSES))
schemathesis.openapi.format("proxy", st.sampled_from(PROXIES))
schemathesis.openapi.format("mount-options", st.sampled_from(OPTIONS))

# The only moment that the API takes is the end of a key, and that must lie ahead.
MOMENTS = st.datetimes(min_value=datetime.datetime(2100, 1, 1), max_value=datetime.datetime(9998, 12, 31))
schemathesis.openapi.format("date-time", MOMENTS.map(lambda moment: moment.isoformat() + "Z"))

# Refusals of a body that fits its schema: they depend on what is saved, and the contract asks for 422.
# Operation -> the problems that may be named, as (attribute, error).
NAME_TAKEN = ("name", "taken")
# What was sent is completed with what is saved: the provider may have no endpoint of its own, or the region or the
# account may be no part of a host name; and a key without get_secret_key points no saved secret elsewhere.
DEPENDS_ON_SAVED = {("url", "blank"), ("region", "invalid"), ("access_key", "invalid"), ("secret_key", "blank")}
FORESEEN = {
    "POST /api/v2/cloud_connectors": {NAME_TAKEN},
    "PUT /api/v2/cloud_connectors/{cloud_connector_id}": {NAME_TAKEN} | DEPENDS_ON_SAVED,
    "PUT /api/v2/cloud_connectors/-/test": DEPENDS_ON_SAVED,
    # A user has at most 1,000 keys; a long run makes more.
    "POST /api/v2/users/me/api_keys": {("base", "invalid")},
}
OWN_KEY_ID = os.environ.get("DOCUMENT_CHECKS_OWN_KEY_ID")


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """False drops the failure."""
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 422:
        return True
    details = json.loads(response.content)["details"]
    named = {(attribute, problem["error"]) for attribute, problems in details.items() for problem in problems}
    return not named <= FORESEEN.get(case.operation.label, set())


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    """The key that signs the requests is neither changed nor revoked: nothing else could be tested afterwards."""
    key_id = str((path_parameters or {}).get("api_key_id", ""))
    return not (OWN_KEY_ID and key_id.isdecimal() and int(key_id) == int(OWN_KEY_ID))
