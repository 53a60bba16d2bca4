"""Where user-data fetches the program from, as somebody sets it up: a bucket, and a role that may read one prefix of it."""

import datetime
import json

import boto3
import botocore.auth
import botocore.config
import pytest

from stubbox import MACHINE

ROLE = "box"
KEY = f"tools/dsagent-{MACHINE}"
PRIVATE = f"private/dsagent-{MACHINE}"  # which the role may not read


class Store:
    """A bucket with the program of a box, and what lets a box in."""

    def __init__(self, server, program):
        """server: MinIO, whose STS gives out the keys."""
        self.server, self.program, self.bucket = server, program, server.bucket()
        for key in (KEY, PRIVATE):
            server.put(self.bucket, key, program)

    def client(self, service, url=None):
        env = self.server.env
        how = botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}) if service == "s3" else None
        return boto3.client(service, endpoint_url=url or self.server.url, region_name="us-east-1", verify=str(self.server.ca), config=how,
                            aws_access_key_id=env["AWS_ACCESS_KEY_ID"], aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"])

    def role(self):
        """Keys of MinIO's STS, as an instance profile has them: GetObject below tools/ and nothing else."""
        allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{self.bucket}/tools/*"}
        # Without ListBucket AWS calls a missing key denied; with it a missing key is called missing.
        see = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{self.bucket}"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow, see]})
        keys = self.client("sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/box", RoleSessionName=ROLE,
                                              Policy=policy)["Credentials"]
        return [f"role={ROLE}", f"access_key={keys['AccessKeyId']}", f"secret_key={keys['SecretAccessKey']}",
                f"session_token={keys['SessionToken']}"]

    def presigned(self, hours_ago=0, key=KEY, url=None):
        """An address below url that holds for an hour from then."""
        then = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - datetime.timedelta(hours=hours_ago)
        with pytest.MonkeyPatch.context() as m:
            m.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: then)
            return self.client("s3", url).generate_presigned_url("get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=3600)
