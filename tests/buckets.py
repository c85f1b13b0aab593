"""A bucket behind the real S3 protocol, served by moto in a thread of this process."""

import contextlib
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import s3fs
from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import ConnectionClosedError
from moto.server import ThreadedMotoServer

from infra import files


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The address of an empty bucket, which the environment leads to.

    A process keeps its clients of S3, and what moto holds, for good: what a server of before left
    of both is put away first.
    """
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        s3fs.S3FileSystem.clear_instance_cache()
        patch.setattr(files, "_ROOTS", {})
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()
        boto3.client("s3").create_bucket(Bucket="dupn")
        yield "s3://dupn"
    server.stop()


@contextlib.contextmanager
def losing_an_answer(to: str) -> Iterator[list[str]]:
    """The server's next answer to a conditional put gets lost; what was put, once it was."""
    lost: list[str] = []
    whole = AIOHTTPSession.send

    async def send(self: AIOHTTPSession, request: Any) -> Any:
        answer = await whole(self, request)
        if not lost and "If-None-Match" in request.headers and request.url.endswith(to):
            lost.append(request.url)
            raise ConnectionClosedError(endpoint_url=request.url)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AIOHTTPSession, "send", send)
        yield lost
