"""What an object store's server says, read from the text of obstore's errors: it has no other form."""

import re

_STATUS = r"status code: (\d{3})"
_NO_ROLE = "169.254.169.254"  # where a machine in the cloud asks for its role's credentials


def has_no_bucket(error: Exception) -> bool:
    """Tell whether the server says that there is no such bucket, in S3's and Google's words or in Azure's."""
    return "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error)


def is_final(error: Exception) -> bool:
    """Tell whether asking again would bring the same answer: the server understood, and refuses."""
    if _NO_ROLE in str(error):
        return True
    status = re.search(_STATUS, str(error))
    return status is not None and status[1].startswith("4") and status[1] not in ("408", "425", "429")


def reason(error: Exception) -> str:
    """Return what a server or the network says, in one line."""
    text = str(error)
    if _NO_ROLE in text:
        return "no credentials were found, and this machine has no role that brings some"
    code, message = (re.search(f"<{name}>([^<]*)</{name}>", text) for name in ("Code", "Message"))
    if code:
        return " ".join(f"{code[1]}, {message[1]}".split()).rstrip(".") if message else code[1]
    if status := re.search(_STATUS, text):  # the answer to a question for the head of an object has no body
        return f"status {status[1]}"
    return text.partition("\n")[0].rpartition(" - ")[2].strip().rstrip(".")
