"""Addresses as they may be shown: without passwords, keys and signatures."""

import re

_USER = re.compile(r"(?<=://)[^/?#\s'\"]*@")
# What signs or opens something: S3, Google, Azure, CloudFront, and the usual names of tokens.
_SECRET = re.compile(
    r"(?<=[?&])((?:x-amz-|x-goog-)[^=&#]*|sig|sv|se|st|sp|sr|skoid|sktid|expires|policy"
    r"|[^=&#]*(?:signature|token|secret|password|passwd|credential|access_?key|api_?key|auth"
    r"|key-pair-id)[^=&#]*|key)=[^&#\s'\"<>)]+",
    re.IGNORECASE,
)


def shown(text: str) -> str:
    """Text with `***` in place of what opens the addresses in it to others."""
    return _SECRET.sub(r"\1=***", _USER.sub("***@", text))
