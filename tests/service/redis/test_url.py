"""What a Redis URL may say, and how the client is set up from it."""

from typing import Any

import pytest

from service.errors import ConfigError
from service.redis.client import connect
from service.redis.pool import FairSentinelPool


def settings(url: str) -> dict[str, Any]:
    return connect(url).connection_pool.connection_kwargs


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", {"host": "localhost", "port": 6379, "db": 0, "username": None, "password": None}),
        ("redis:///2", {"host": "localhost", "port": 6379, "db": 2}),
        ("redis://redis.internal:6380/3", {"host": "redis.internal", "port": 6380, "db": 3}),
        ("redis://redis.internal?db=4", {"db": 4}),
        ("redis://:s3%2Fcr%40t@h", {"username": None, "password": "s3/cr@t"}),
        ("redis://app:pw@[::1]:7000", {"host": "::1", "port": 7000, "username": "app", "password": "pw"}),
        ("rediss://h", {"ssl_check_hostname": True}),
        ("rediss://h?ssl_ca_certs=/ca.pem&ssl_check_hostname=false", {"ssl_ca_certs": "/ca.pem"}),
        ("unix:///run/redis%20a.sock?db=1&password=pw", {"path": "/run/redis a.sock", "db": 1, "password": "pw"}),
    ],
)
def test_url_says_where_redis_is(url: str, expected: dict[str, Any]) -> None:
    assert settings(url).items() >= expected.items()


def test_sentinel_url_names_sentinels_and_master() -> None:
    redis = connect("redis+sentinel://u:p@a:1,b,[::1]:3/5?master=mymaster&sentinel_password=s")
    pool = redis.connection_pool
    assert isinstance(pool, FairSentinelPool)
    assert pool.service_name == "mymaster"
    kwargs = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(k["host"], k["port"]) for k in kwargs] == [("a", 1), ("b", 26379), ("::1", 3)]
    assert {(k["password"], k["username"], k["db"], k["socket_timeout"]) for k in kwargs} == {("s", None, 0, 0.5)}
    assert pool.connection_kwargs.items() >= {"username": "u", "password": "p", "db": 5}.items()


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("http://h", "begins with none of redis://, rediss://, unix://, redis+sentinel://"),
        ("", "begins with none of"),
        ("redis://h:port", "host or port that is not valid"),
        ("redis://h:99999", "host or port that is not valid"),
        ("redis://[::1", "a host that is not valid"),
        ("redis://h/first", "a path that is not a database number"),
        ("redis://h/-1", "a negative database number"),
        ("redis://h?db=x", "is not valid for the option db"),
        ("redis://h?decode_responses=true", "an option that is not one of db"),
        ("rediss://h?ssl_check_hostname=maybe", "is not valid for the option ssl_check_hostname"),
        ("unix://relative/path", "needs the absolute path of a socket"),
        ("unix://", "needs the absolute path of a socket"),
        ("redis+sentinel://a,b/0", "lacks ?master="),
        ("redis+sentinel://a,,b/0?master=m", "lacks a Sentinel's host"),
        ("redis://u:hunter2/x@h", "%2F"),
        ("redis://u:12/hunter2@h", "%2F"),
        ("redis://u:hunter2#x@h", "%23"),
        ("redis://u:12#hunter2@h", "%23"),
        ("redis://u:12?hunter2=1@h", "%3F"),
        ("redis://u:hunter2?x@h", "%3F"),
    ],
)
def test_an_invalid_url_is_explained_without_its_password(url: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as refused:
        connect(url)
    (problem,) = refused.value.problems
    assert problem.place == "REDIS_URL"
    assert wrong in problem.message
    assert "hunter2" not in str(refused.value)
