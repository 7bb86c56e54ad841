/*
 * wire/resp/resp_known.c - names of Redis's commands that weir does not have.
 *
 * They get an error that says so; any other name gets Redis's "unknown command". Sorted, for the
 * search. Proof: tests/wire/resp/resp_session_test.c.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/resp/resp_command.h"

static const char *const names[] = {
    "append", "asking", "bgrewriteaof", "bgsave", "bitcount", "bitfield", "bitfield_ro",
    "bitop", "bitpos", "blmove", "blmpop", "blpop", "brpop", "brpoplpush", "bzmpop", "bzpopmax",
    "bzpopmin", "copy", "dbsize", "debug", "decr", "decrby", "del", "dump", "eval", "eval_ro",
    "evalsha", "evalsha_ro", "exists", "expire", "expireat", "expiretime", "failover", "fcall",
    "fcall_ro", "flushall", "flushdb", "function", "geoadd", "geodist", "geohash", "geopos",
    "georadius", "georadius_ro", "georadiusbymember", "georadiusbymember_ro", "geosearch",
    "geosearchstore", "get", "getbit", "getdel", "getex", "getrange", "getset", "hdel",
    "hexists", "hexpire", "hexpireat", "hexpiretime", "hget", "hgetall", "hgetdel", "hgetex",
    "hincrby", "hincrbyfloat", "hkeys", "hlen", "hmget", "hmset", "hpersist", "hpexpire",
    "hpexpireat", "hpexpiretime", "hpttl", "hrandfield", "hscan", "hset", "hsetex", "hsetnx",
    "hstrlen", "httl", "hvals", "incr", "incrby", "incrbyfloat", "keys", "lastsave", "latency",
    "lcs", "lindex", "linsert", "llen", "lmove", "lmpop", "lolwut", "lpop", "lpos", "lpush",
    "lpushx", "lrange", "lrem", "lset", "ltrim", "memory", "mget", "migrate", "module",
    "monitor", "move", "mset", "msetnx", "object", "persist", "pexpire", "pexpireat",
    "pexpiretime", "pfadd", "pfcount", "pfdebug", "pfmerge", "pfselftest", "psetex", "psync",
    "pttl", "randomkey", "readonly", "readwrite", "rename", "renamenx", "replconf", "replicaof",
    "restore", "restore-asking", "rpop", "rpoplpush", "rpush", "rpushx", "sadd", "save", "scan",
    "scard", "script", "sdiff", "sdiffstore", "set", "setbit", "setex", "setnx", "setrange",
    "shutdown", "sinter", "sintercard", "sinterstore", "sismember", "slaveof", "slowlog",
    "smembers", "smismember", "smove", "sort", "sort_ro", "spop", "srandmember", "srem",
    "sscan", "strlen", "substr", "sunion", "sunionstore", "swapdb", "sync", "touch", "ttl",
    "type", "unlink", "wait", "waitaof", "xack", "xadd", "xautoclaim", "xclaim", "xdel",
    "xgroup", "xinfo", "xlen", "xpending", "xrange", "xread", "xreadgroup", "xrevrange",
    "xsetid", "xtrim", "zadd", "zcard", "zcount", "zdiff", "zdiffstore", "zincrby", "zinter",
    "zintercard", "zinterstore", "zlexcount", "zmpop", "zmscore", "zpopmax", "zpopmin",
    "zrandmember", "zrange", "zrangebylex", "zrangebyscore", "zrangestore", "zrank", "zrem",
    "zremrangebylex", "zremrangebyrank", "zremrangebyscore", "zrevrange", "zrevrangebylex",
    "zrevrangebyscore", "zrevrank", "zscan", "zscore", "zunion", "zunionstore",
};

static int compare(const void *key, const void *element)
{
    const struct weir_resp_slice *name = key;
    const char *known = *(const char *const *)element;
    int order = strncasecmp(name->bytes, known, name->count);
    return order != 0 || known[name->count] == '\0' ? order : -1;
}

bool weir_resp_known_to_redis(struct weir_resp_slice name)
{
    if (name.count == 0 || name.count > 32 || memchr(name.bytes, '\0', name.count))
        return false;
    return bsearch(&name, names, sizeof names / sizeof *names, sizeof *names, compare) != NULL;
}
