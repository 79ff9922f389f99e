"""What boto3 does with a bucket. Called with the endpoint and what to do; fails where something is not as it should be."""

import datetime
import hashlib
import io
import os
import sys
import urllib.request

import boto3
import boto3.s3.transfer
import botocore
import botocore.auth
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, WHAT = sys.argv[1:]
BUCKET = "boto"


def client(**other):
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, **other.pop("config", {}))
    return boto3.client("s3", endpoint_url=ENDPOINT, config=config, **other)


def code_of(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise AssertionError("it was not refused")


def noise(length, seed):
    out = bytearray()
    block = seed.to_bytes(32, "little")
    while len(out) < length:
        block = hashlib.sha256(block).digest()
        out += block
    return bytes(out[:length])


LARGE = noise(20 << 20, 7)


def objects():
    s3 = client()
    s3.create_bucket(Bucket=BUCKET)
    s3.head_bucket(Bucket=BUCKET)
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None
    stored = s3.put_object(
        Bucket=BUCKET, Key="a/b c+ä.o", Body=b"hello world", ContentType="text/plain", Metadata={"color": "blue"}
    )
    for _ in range(2):
        found = s3.get_object(Bucket=BUCKET, Key="a/b c+ä.o")
        assert found["Body"].read() == b"hello world"
        assert found["ETag"] == stored["ETag"] and found["ContentType"] == "text/plain"
        assert found["Metadata"] == {"color": "blue"}
        age = datetime.datetime.now(datetime.timezone.utc) - found["LastModified"]
        assert abs(age) < datetime.timedelta(hours=1)
    assert s3.head_object(Bucket=BUCKET, Key="a/b c+ä.o")["ContentLength"] == 11
    part = s3.get_object(Bucket=BUCKET, Key="a/b c+ä.o", Range="bytes=6-8")
    assert part["Body"].read() == b"wor" and part["ContentRange"] == "bytes 6-8/11"
    assert s3.get_object(Bucket=BUCKET, Key="a/b c+ä.o", Range="bytes=-5")["Body"].read() == b"world"
    assert code_of(s3.get_object, Bucket=BUCKET, Key="a/b c+ä.o", Range="bytes=11-") == "InvalidRange"
    assert code_of(s3.get_object, Bucket=BUCKET, Key="none") == "NoSuchKey"
    assert code_of(s3.head_object, Bucket=BUCKET, Key="none") == "404"
    assert code_of(s3.get_object, Bucket=BUCKET, Key="a/b c+ä.o", IfNoneMatch=stored["ETag"]) == "304"
    exists = dict(Bucket=BUCKET, Key="a/b c+ä.o", Body=b"other", IfNoneMatch="*")
    assert code_of(s3.put_object, **exists) == "PreconditionFailed"
    s3.put_object(Bucket=BUCKET, Key="new", Body=b"new", IfNoneMatch="*")
    for algorithm in ["CRC32", "SHA1", "SHA256"]:
        s3.put_object(Bucket=BUCKET, Key=algorithm, Body=b"checked", ChecksumAlgorithm=algorithm)
        found = s3.get_object(Bucket=BUCKET, Key=algorithm, ChecksumMode="ENABLED")
        assert found["Checksum" + algorithm] and found["Body"].read() == b"checked"
    assert code_of(s3.put_object, Bucket=BUCKET, Key="k", Body=b"x", ChecksumCRC32="AAAAAA==") == "BadDigest"
    s3.delete_object(Bucket=BUCKET, Key="new")
    s3.delete_object(Bucket=BUCKET, Key="new")
    assert code_of(s3.get_object, Bucket=BUCKET, Key="new") == "NoSuchKey"
    assert code_of(s3.copy_object, Bucket=BUCKET, Key="x", CopySource=BUCKET + "/k") == "NotImplemented"
    assert code_of(s3.get_object_tagging, Bucket=BUCKET, Key="k") == "NotImplemented"


def lists():
    s3 = client()
    bucket = "lists"
    keys = sorted([f"{number:04}" for number in range(1100)] + ["d/1", "d/2", "e/1", "q&<>\"' x"])
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket))
    assert [len(page["Contents"]) for page in pages] == [1000, 104]
    assert [one["Key"] for page in pages for one in page["Contents"]] == keys
    small = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="00", PaginationConfig={"PageSize": 7})
    assert [one["Key"] for page in small for one in page["Contents"]] == keys[:100]
    below = s3.list_objects_v2(Bucket=bucket, Delimiter="/", StartAfter="1099")
    assert [one["Prefix"] for one in below["CommonPrefixes"]] == ["d/", "e/"]
    assert [one["Key"] for one in below["Contents"]] == ["q&<>\"' x"]
    old = list(s3.get_paginator("list_objects").paginate(Bucket=bucket, Delimiter="/"))
    assert sum(len(page.get("Contents", [])) for page in old) == 1101
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys[:1000]]})
    assert len(deleted["Deleted"]) == 1000 and "Errors" not in deleted
    left = s3.list_objects_v2(Bucket=bucket)
    assert [one["Key"] for one in left["Contents"]] == keys[1000:] and not left["IsTruncated"]
    assert s3.list_objects_v2(Bucket="empty")["KeyCount"] == 0


def parts():
    s3 = client()
    transfer = boto3.s3.transfer.TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_fileobj(io.BytesIO(LARGE), BUCKET, "uploaded", Config=transfer)
    fetched = io.BytesIO()
    s3.download_fileobj(BUCKET, "uploaded", fetched, Config=transfer)
    assert fetched.getvalue() == LARGE
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts", Metadata={"made": "of parts"})["UploadId"]
    this = dict(Bucket=BUCKET, Key="parts", UploadId=upload)
    etags = {}
    for number in [2, 1, 2]:
        etags[number] = s3.upload_part(PartNumber=number, Body=LARGE[: number << 20], **this)["ETag"]
    listed = s3.list_parts(**this)["Parts"]
    assert [(part["PartNumber"], part["ETag"], part["Size"]) for part in listed] == [
        (1, etags[1], 1 << 20),
        (2, etags[2], 2 << 20),
    ]
    chosen = {"Parts": [{"PartNumber": number, "ETag": etags[number]} for number in [1, 2]]}
    other = {"Parts": [{"PartNumber": 1, "ETag": etags[2]}]}
    assert code_of(s3.complete_multipart_upload, MultipartUpload=other, **this) == "InvalidPart"
    made = s3.complete_multipart_upload(MultipartUpload=chosen, **this)
    found = s3.get_object(Bucket=BUCKET, Key="parts")
    assert found["ETag"] == made["ETag"] and found["Metadata"] == {"made": "of parts"}
    assert found["Body"].read() == LARGE[: 1 << 20] + LARGE[: 2 << 20]
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="given up")["UploadId"]
    this = dict(Bucket=BUCKET, Key="given up", UploadId=upload)
    s3.upload_part(PartNumber=1, Body=b"part", **this)
    s3.abort_multipart_upload(**this)
    assert code_of(s3.upload_part, PartNumber=2, Body=b"late", **this) == "NoSuchUpload"


def urls():
    s3 = client(config={"signature_version": "s3v4"})
    put = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "url"}, ExpiresIn=60)
    urllib.request.urlopen(urllib.request.Request(put, data=b"by url", method="PUT")).close()
    get = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "url"}, ExpiresIn=60)
    assert urllib.request.urlopen(get).read() == b"by url"


def strangers():
    client().put_object(Bucket=BUCKET, Key="k", Body=b"body")
    this = dict(Bucket=BUCKET, Key="k")
    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    for key, secret, code in [(key, "another", "SignatureDoesNotMatch"), ("another", secret, "InvalidAccessKeyId")]:
        stranger = client(aws_access_key_id=key, aws_secret_access_key=secret)
        assert code_of(stranger.get_object, **this) == code
    unsigned = client(config={"signature_version": botocore.UNSIGNED})
    assert code_of(unsigned.get_object, **this) == "AccessDenied"
    right = botocore.auth.get_current_datetime
    try:
        for minutes in [-20, 20, -60 * 24]:
            off = datetime.timedelta(minutes=minutes)
            botocore.auth.get_current_datetime = lambda *arguments, **named: right(*arguments, **named) + off
            assert code_of(client().get_object, **this) == "RequestTimeTooSkewed", minutes
    finally:
        botocore.auth.get_current_datetime = right
    assert client().get_object(**this)["Body"].read() == b"body"


def store():
    s3 = client()
    for number in range(20):
        s3.put_object(Bucket="lives", Key=f"{number:02}", Body=noise(50_000 * number, number))
    s3.upload_fileobj(io.BytesIO(LARGE), "lives", "large")


def find():
    s3 = client()
    for number in range(20):
        assert s3.get_object(Bucket="lives", Key=f"{number:02}")["Body"].read() == noise(50_000 * number, number)
    assert s3.get_object(Bucket="lives", Key="large")["Body"].read() == LARGE
    listed = s3.list_objects_v2(Bucket="lives")["Contents"]
    assert [one["Key"] for one in listed] == [f"{number:02}" for number in range(20)] + ["large"]
    assert listed[-1]["Size"] == len(LARGE)


if WHAT == "each call":
    print("boto3", boto3.__version__, "botocore", botocore.__version__)
    for what in [objects, lists, parts, urls]:
        what()
else:
    {"store": store, "find": find, "strangers": strangers}[WHAT]()
