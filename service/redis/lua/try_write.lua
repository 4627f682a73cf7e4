-- Write two keys and delete them again.
-- KEYS: first   a key
--       second  another key, which a Redis Cluster has on another node
-- ARGV: expire_ms  when the keys expire, should they not get deleted
redis.call('SET', first, '1', 'PX', expire_ms)
redis.call('SET', second, '1', 'PX', expire_ms)
redis.call('DEL', first, second)
return 'ok'
