/*
 * The table of commands: a row each, flat, by first letter, and within it by
 * length and name, as redis_command_find() walks them. See table.h.
 *
 * Keys, "write" and "movable" are the reply of COMMAND of Redis 7.0.15, to
 * which tests/real compares each row; what 7.2 added is WAITAOF, CLIENT
 * NO-TOUCH, CLIENT SETINFO and CLUSTER MYSHARDID. Modules' commands are unknown
 * on purpose: nobody here knows what they do to a connection.
 *
 * How a command travels is asked of what it does to its connection, not of
 * what it does to data: an administrator's FLUSHALL or REPLICAOF is as good on
 * a connection of many as on one of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/redis/table.h"

#include "net/err.h"

#define NAME(text)      .name = text, .name_len = sizeof(text) - 1
#define KEYS(a, b, c)   .first = a, .last = b, .step = c
#define WRITE           .write = true
#define READ            .read = true
#define OP(what)        .op = REDIS_OP_##what
#define SPLIT(way)      .split = REDIS_SPLIT_##way
#define MOVABLE(by)     .movable = true, .finder = REDIS_BY_##by
#define COUNT(at)       MOVABLE(COUNT), .keynum = at
#define SUBS(rows)      .container = true, .subs = rows, .n_subs = NELEMS(rows)

/* Whole rows of what travels among others. */
#define PLAIN(text)             { NAME(text) }
#define ASKS(text)              { NAME(text), READ }
#define READS(text, a, b, c)    { NAME(text), READ, KEYS(a, b, c) }
#define WRITES(text, a, b, c)   { NAME(text), WRITE, KEYS(a, b, c) }

/* How the others do. */
#define ALONE(text)     NAME(text), .how = REDIS_ALONE, .pin = REDIS_PIN_ALONE
#define BLOCKS(text)    NAME(text), .how = REDIS_BLOCKS, \
			.pin = REDIS_PIN_BLOCKED
#define PINS(text, why) NAME(text), .how = REDIS_PINS, .pin = REDIS_PIN_##why
#define ENDS(text)      NAME(text), .how = REDIS_ENDS
#define OURS(text)      NAME(text), .how = REDIS_OURS
#define REFUSED(text)   NAME(text), .how = REDIS_REFUSED

/* -------------------------------------------------------------- subcommands */

static const struct redis_command of_acl[] = {
	PLAIN("acl|cat"),
	PLAIN("acl|log"),
	PLAIN("acl|help"),
	PLAIN("acl|list"),
	PLAIN("acl|load"),
	PLAIN("acl|save"),
	PLAIN("acl|users"),
	PLAIN("acl|dryrun"),
	PLAIN("acl|whoami"),
	PLAIN("acl|deluser"),
	PLAIN("acl|genpass"),
	PLAIN("acl|getuser"),
	PLAIN("acl|setuser")
};

static const struct redis_command of_client[] = {
	{ OURS("client|id"), OP(CLIENT_ID) },
	PLAIN("client|help"),
	{ OURS("client|info"), OP(CLIENT_INFO) },
	{ ALONE("client|kill") },
	PLAIN("client|list"),
	{ ALONE("client|pause") },
	{ OURS("client|reply"), OP(CLIENT_REPLY) },
	{ PINS("client|caching", TRACKING) },
	{ OURS("client|getname"), OP(CLIENT_GETNAME) },
	{ OURS("client|setinfo"), OP(CLIENT_SETINFO) },
	{ OURS("client|setname"), OP(CLIENT_SETNAME) },
	{ OURS("client|unblock"), OP(CLIENT_UNBLOCK) },
	{ ALONE("client|unpause") },
	PLAIN("client|getredir"),
	{ PINS("client|no-evict", NO_EVICT), OP(CLIENT_NO_EVICT) },
	{ PINS("client|no-touch", NO_TOUCH), OP(CLIENT_NO_TOUCH) },
	{ PINS("client|tracking", TRACKING), OP(CLIENT_TRACKING) },
	PLAIN("client|trackinginfo")
};

static const struct redis_command of_cluster[] = {
	PLAIN("cluster|help"),
	PLAIN("cluster|info"),
	PLAIN("cluster|meet"),
	PLAIN("cluster|myid"),
	PLAIN("cluster|links"),
	PLAIN("cluster|nodes"),
	PLAIN("cluster|reset"),
	PLAIN("cluster|slots"),
	PLAIN("cluster|forget"),
	PLAIN("cluster|shards"),
	PLAIN("cluster|slaves"),
	PLAIN("cluster|keyslot"),
	PLAIN("cluster|setslot"),
	PLAIN("cluster|addslots"),
	PLAIN("cluster|delslots"),
	PLAIN("cluster|failover"),
	PLAIN("cluster|replicas"),
	PLAIN("cluster|bumpepoch"),
	PLAIN("cluster|myshardid"),
	PLAIN("cluster|replicate"),
	PLAIN("cluster|flushslots"),
	PLAIN("cluster|saveconfig"),
	PLAIN("cluster|addslotsrange"),
	PLAIN("cluster|delslotsrange"),
	PLAIN("cluster|getkeysinslot"),
	PLAIN("cluster|countkeysinslot"),
	PLAIN("cluster|set-config-epoch"),
	PLAIN("cluster|count-failure-reports")
};

static const struct redis_command of_command[] = {
	PLAIN("command|docs"),
	PLAIN("command|help"),
	PLAIN("command|info"),
	PLAIN("command|list"),
	PLAIN("command|count"),
	PLAIN("command|getkeys"),
	PLAIN("command|getkeysandflags")
};

static const struct redis_command of_config[] = {
	PLAIN("config|get"),
	PLAIN("config|set"),
	PLAIN("config|help"),
	PLAIN("config|rewrite"),
	PLAIN("config|resetstat")
};

static const struct redis_command of_function[] = {
	PLAIN("function|dump"),
	PLAIN("function|help"),
	{ ALONE("function|kill") },
	PLAIN("function|list"),
	{ NAME("function|load"), WRITE },
	{ NAME("function|flush"), WRITE },
	/* Tells which function is running, also while it is: behind that very
	   function on a connection of many it would tell it too late. */
	{ ALONE("function|stats") },
	{ NAME("function|delete"), WRITE },
	{ NAME("function|restore"), WRITE }
};

static const struct redis_command of_latency[] = {
	PLAIN("latency|help"),
	PLAIN("latency|graph"),
	PLAIN("latency|reset"),
	PLAIN("latency|doctor"),
	PLAIN("latency|latest"),
	PLAIN("latency|history"),
	PLAIN("latency|histogram")
};

static const struct redis_command of_memory[] = {
	PLAIN("memory|help"),
	PLAIN("memory|purge"),
	PLAIN("memory|stats"),
	READS("memory|usage", 2, 2, 1),
	PLAIN("memory|doctor"),
	PLAIN("memory|malloc-stats")
};

static const struct redis_command of_module[] = {
	{ ALONE("module|help") },
	{ ALONE("module|list") },
	{ ALONE("module|load") },
	{ ALONE("module|loadex") },
	{ ALONE("module|unload") }
};

static const struct redis_command of_object[] = {
	READS("object|freq", 2, 2, 1),
	PLAIN("object|help"),
	READS("object|encoding", 2, 2, 1),
	READS("object|idletime", 2, 2, 1),
	READS("object|refcount", 2, 2, 1)
};

static const struct redis_command of_pubsub[] = {
	PLAIN("pubsub|help"),
	PLAIN("pubsub|numpat"),
	PLAIN("pubsub|numsub"),
	PLAIN("pubsub|channels"),
	PLAIN("pubsub|shardnumsub"),
	PLAIN("pubsub|shardchannels")
};

static const struct redis_command of_script[] = {
	PLAIN("script|help"),
	{ ALONE("script|kill") },
	PLAIN("script|load"),
	/* The next EVAL would begin a session of the debugger, in a protocol of
	   its own, with a forked server. */
	{ REFUSED("script|debug") },
	PLAIN("script|flush"),
	PLAIN("script|exists")
};

static const struct redis_command of_slowlog[] = {
	PLAIN("slowlog|get"),
	PLAIN("slowlog|len"),
	PLAIN("slowlog|help"),
	PLAIN("slowlog|reset")
};

static const struct redis_command of_xgroup[] = {
	PLAIN("xgroup|help"),
	WRITES("xgroup|setid", 2, 2, 1),
	WRITES("xgroup|create", 2, 2, 1),
	WRITES("xgroup|destroy", 2, 2, 1),
	WRITES("xgroup|delconsumer", 2, 2, 1),
	WRITES("xgroup|createconsumer", 2, 2, 1)
};

static const struct redis_command of_xinfo[] = {
	PLAIN("xinfo|help"),
	READS("xinfo|groups", 2, 2, 1),
	READS("xinfo|stream", 2, 2, 1),
	READS("xinfo|consumers", 2, 2, 1)
};

/* ----------------------------------------------------------------- commands */

static const struct redis_command a_rows[] = {
	{ NAME("acl"), SUBS(of_acl) },
	{ OURS("auth"), OP(AUTH) },
	WRITES("append", 1, 1, 1),
	/* cluster.c, askingCommand(): without cluster mode an error and nothing
	   else, with it the next command is taken otherwise: that one has to be
	   of the same client. So it is not among others, whatever is behind. */
	{ PINS("asking", UNKNOWN) }
};

static const struct redis_command b_rows[] = {
	WRITES("bitop", 2, -1, 1),
	{ BLOCKS("blpop"), WRITE, KEYS(1, -2, 1) },
	{ BLOCKS("brpop"), WRITE, KEYS(1, -2, 1) },
	PLAIN("bgsave"),
	READS("bitpos", 1, 1, 1),
	{ BLOCKS("blmove"), WRITE, KEYS(1, 2, 1) },
	{ BLOCKS("blmpop"), WRITE, COUNT(2) },
	{ BLOCKS("bzmpop"), WRITE, COUNT(2) },
	READS("bitcount", 1, 1, 1),
	WRITES("bitfield", 1, 1, 1),
	{ BLOCKS("bzpopmax"), WRITE, KEYS(1, -2, 1) },
	{ BLOCKS("bzpopmin"), WRITE, KEYS(1, -2, 1) },
	{ BLOCKS("brpoplpush"), WRITE, KEYS(1, 2, 1) },
	READS("bitfield_ro", 1, 1, 1),
	PLAIN("bgrewriteaof")
};

static const struct redis_command c_rows[] = {
	WRITES("copy", 1, 2, 1),
	/* CLIENT is where new states of a connection arrive. */
	{ PINS("client", UNKNOWN), SUBS(of_client) },
	{ NAME("config"), SUBS(of_config) },
	{ NAME("cluster"), SUBS(of_cluster) },
	{ NAME("command"), SUBS(of_command) }
};

static const struct redis_command d_rows[] = {
	{ NAME("del"), SPLIT(SUM), WRITE, KEYS(1, -1, 1) },
	WRITES("decr", 1, 1, 1),
	READS("dump", 1, 1, 1),
	{ ALONE("debug") },
	ASKS("dbsize"),
	WRITES("decrby", 1, 1, 1),
	{ ENDS("discard"), OP(DISCARD) }
};

static const struct redis_command e_rows[] = {
	ASKS("echo"),
	{ NAME("eval"), COUNT(2) },
	{ ENDS("exec"), OP(EXEC) },
	{ NAME("exists"), READ, SPLIT(SUM), KEYS(1, -1, 1) },
	WRITES("expire", 1, 1, 1),
	{ NAME("eval_ro"), COUNT(2) },
	{ NAME("evalsha"), COUNT(2) },
	WRITES("expireat", 1, 1, 1),
	{ NAME("evalsha_ro"), COUNT(2) },
	READS("expiretime", 1, 1, 1)
};

static const struct redis_command f_rows[] = {
	{ NAME("fcall"), COUNT(2) },
	{ NAME("flushdb"), WRITE },
	{ ALONE("failover") },
	{ NAME("fcall_ro"), COUNT(2) },
	{ NAME("flushall"), WRITE },
	{ NAME("function"), SUBS(of_function) }
};

static const struct redis_command g_rows[] = {
	READS("get", 1, 1, 1),
	WRITES("getex", 1, 1, 1),
	WRITES("geoadd", 1, 1, 1),
	READS("geopos", 1, 1, 1),
	READS("getbit", 1, 1, 1),
	WRITES("getdel", 1, 1, 1),
	WRITES("getset", 1, 1, 1),
	READS("geodist", 1, 1, 1),
	READS("geohash", 1, 1, 1),
	READS("getrange", 1, 1, 1),
	{ NAME("georadius"), WRITE, KEYS(1, 1, 1), MOVABLE(GEO) },
	READS("geosearch", 1, 1, 1),
	READS("georadius_ro", 1, 1, 1),
	WRITES("geosearchstore", 1, 2, 1),
	{ NAME("georadiusbymember"), WRITE, KEYS(1, 1, 1), MOVABLE(GEO) },
	READS("georadiusbymember_ro", 1, 1, 1)
};

static const struct redis_command h_rows[] = {
	WRITES("hdel", 1, 1, 1),
	READS("hget", 1, 1, 1),
	READS("hlen", 1, 1, 1),
	WRITES("hset", 1, 1, 1),
	{ OURS("hello"), OP(HELLO) },
	READS("hkeys", 1, 1, 1),
	READS("hmget", 1, 1, 1),
	WRITES("hmset", 1, 1, 1),
	/* server.c, processCommand(): "host:" and "post" smell of a browser
	   that was fooled; the server would close the connection of all. */
	{ REFUSED("host:") },
	READS("hscan", 1, 1, 1),
	READS("hvals", 1, 1, 1),
	WRITES("hsetnx", 1, 1, 1),
	READS("hexists", 1, 1, 1),
	READS("hgetall", 1, 1, 1),
	WRITES("hincrby", 1, 1, 1),
	READS("hstrlen", 1, 1, 1),
	READS("hrandfield", 1, 1, 1),
	WRITES("hincrbyfloat", 1, 1, 1)
};

static const struct redis_command i_rows[] = {
	WRITES("incr", 1, 1, 1),
	ASKS("info"),
	WRITES("incrby", 1, 1, 1),
	WRITES("incrbyfloat", 1, 1, 1)
};

static const struct redis_command k_rows[] = {
	ASKS("keys")
};

static const struct redis_command l_rows[] = {
	READS("lcs", 1, 2, 1),
	READS("llen", 1, 1, 1),
	WRITES("lpop", 1, 1, 1),
	READS("lpos", 1, 1, 1),
	WRITES("lrem", 1, 1, 1),
	WRITES("lset", 1, 1, 1),
	WRITES("lmove", 1, 2, 1),
	{ NAME("lmpop"), WRITE, COUNT(1) },
	WRITES("lpush", 1, 1, 1),
	WRITES("ltrim", 1, 1, 1),
	READS("lindex", 1, 1, 1),
	PLAIN("lolwut"),
	WRITES("lpushx", 1, 1, 1),
	READS("lrange", 1, 1, 1),
	{ NAME("latency"), SUBS(of_latency) },
	WRITES("linsert", 1, 1, 1),
	ASKS("lastsave")
};

static const struct redis_command m_rows[] = {
	{ NAME("mget"), READ, SPLIT(VALUES), KEYS(1, -1, 1) },
	WRITES("move", 1, 1, 1),
	{ NAME("mset"), SPLIT(OK), WRITE, KEYS(1, -1, 2) },
	{ PINS("multi", MULTI), OP(MULTI) },
	{ NAME("memory"), SUBS(of_memory) },
	{ NAME("module"), SUBS(of_module) },
	WRITES("msetnx", 1, -1, 2),
	{ BLOCKS("migrate"), WRITE, KEYS(3, 3, 1), MOVABLE(MIGRATE) },
	{ PINS("monitor", MONITOR), OP(MONITOR) }
};

static const struct redis_command o_rows[] = {
	{ NAME("object"), SUBS(of_object) }
};

static const struct redis_command p_rows[] = {
	{ NAME("ping"), READ },
	{ REFUSED("post") },
	READS("pttl", 1, 1, 1),
	WRITES("pfadd", 1, 1, 1),
	{ REFUSED("psync") },
	WRITES("psetex", 1, 1, 1),
	{ NAME("pubsub"), SUBS(of_pubsub) },
	WRITES("persist", 1, 1, 1),
	WRITES("pexpire", 1, 1, 1),
	READS("pfcount", 1, -1, 1),
	WRITES("pfdebug", 2, 2, 1),
	WRITES("pfmerge", 1, -1, 1),
	PLAIN("publish"),
	WRITES("pexpireat", 1, 1, 1),
	PLAIN("pfselftest"),
	{ PINS("psubscribe", SUBSCRIBE), OP(PSUBSCRIBE) },
	READS("pexpiretime", 1, 1, 1),
	{ ENDS("punsubscribe"), OP(PUNSUBSCRIBE) }
};

static const struct redis_command q_rows[] = {
	{ OURS("quit"), OP(QUIT) }
};

static const struct redis_command r_rows[] = {
	ASKS("role"),
	WRITES("rpop", 1, 1, 1),
	{ OURS("reset"), OP(RESET) },
	WRITES("rpush", 1, 1, 1),
	WRITES("rename", 1, 2, 1),
	WRITES("rpushx", 1, 1, 1),
	WRITES("restore", 1, 1, 1),
	/* cluster.c, readonlyCommand(): like ASKING, but it lasts. Nobody sends
	   it to a server that is not of a cluster. */
	{ PINS("readonly", UNKNOWN) },
	WRITES("renamenx", 1, 2, 1),
	{ REFUSED("replconf") },
	ASKS("randomkey"),
	/* Ends what READONLY began; where nobody may send that, nothing. */
	PLAIN("readwrite"),
	PLAIN("replicaof"),
	WRITES("rpoplpush", 1, 2, 1),
	/* Of MIGRATE between nodes of a cluster; clients have RESTORE. */
	{ REFUSED("restore-asking"), WRITE, KEYS(1, 1, 1) }
};

static const struct redis_command s_rows[] = {
	WRITES("set", 1, 1, 1),
	WRITES("sadd", 1, 1, 1),
	PLAIN("save"),
	ASKS("scan"),
	{ NAME("sort"), WRITE, KEYS(1, 1, 1), MOVABLE(SORT) },
	WRITES("spop", 1, 1, 1),
	WRITES("srem", 1, 1, 1),
	{ REFUSED("sync") },
	READS("scard", 1, 1, 1),
	READS("sdiff", 1, -1, 1),
	WRITES("setex", 1, 1, 1),
	WRITES("setnx", 1, 1, 1),
	WRITES("smove", 1, 2, 1),
	READS("sscan", 1, 1, 1),
	{ PINS("script", UNKNOWN), SUBS(of_script) },
	{ OURS("select"), OP(SELECT) },
	WRITES("setbit", 1, 1, 1),
	READS("sinter", 1, -1, 1),
	READS("strlen", 1, 1, 1),
	READS("substr", 1, 1, 1),
	READS("sunion", 1, -1, 1),
	{ NAME("swapdb"), WRITE },
	PLAIN("slaveof"),
	{ NAME("slowlog"), SUBS(of_slowlog) },
	{ NAME("sort_ro"), READ, KEYS(1, 1, 1), MOVABLE(POSITION) },
	WRITES("setrange", 1, 1, 1),
	{ ALONE("shutdown") },
	READS("smembers", 1, 1, 1),
	{ NAME("spublish"), KEYS(1, 1, 1) },
	READS("sismember", 1, 1, 1),
	{ PINS("subscribe", SUBSCRIBE), OP(SUBSCRIBE) },
	WRITES("sdiffstore", 1, -1, 1),
	{ NAME("sintercard"), READ, COUNT(1) },
	READS("smismember", 1, 1, 1),
	{ PINS("ssubscribe", SUBSCRIBE), OP(SSUBSCRIBE), KEYS(1, -1, 1) },
	WRITES("sinterstore", 1, -1, 1),
	READS("srandmember", 1, 1, 1),
	WRITES("sunionstore", 1, -1, 1),
	{ ENDS("sunsubscribe"), OP(SUNSUBSCRIBE), KEYS(1, -1, 1) }
};

static const struct redis_command t_rows[] = {
	READS("ttl", 1, 1, 1),
	ASKS("time"),
	READS("type", 1, 1, 1),
	{ NAME("touch"), READ, SPLIT(SUM), KEYS(1, -1, 1) }
};

static const struct redis_command u_rows[] = {
	{ NAME("unlink"), SPLIT(SUM), WRITE, KEYS(1, -1, 1) },
	{ ENDS("unwatch"), OP(UNWATCH) },
	{ ENDS("unsubscribe"), OP(UNSUBSCRIBE) }
};

static const struct redis_command w_rows[] = {
	{ BLOCKS("wait"), OP(WAIT) },
	{ PINS("watch", WATCH), OP(WATCH), KEYS(1, -1, 1) },
	{ BLOCKS("waitaof"), OP(WAIT) }
};

static const struct redis_command x_rows[] = {
	WRITES("xack", 1, 1, 1),
	WRITES("xadd", 1, 1, 1),
	WRITES("xdel", 1, 1, 1),
	READS("xlen", 1, 1, 1),
	{ NAME("xinfo"), SUBS(of_xinfo) },
	{ BLOCKS("xread"), MOVABLE(STREAMS) },
	WRITES("xtrim", 1, 1, 1),
	WRITES("xclaim", 1, 1, 1),
	{ NAME("xgroup"), SUBS(of_xgroup) },
	READS("xrange", 1, 1, 1),
	WRITES("xsetid", 1, 1, 1),
	READS("xpending", 1, 1, 1),
	READS("xrevrange", 1, 1, 1),
	WRITES("xautoclaim", 1, 1, 1),
	{ BLOCKS("xreadgroup"), WRITE, MOVABLE(STREAMS) }
};

static const struct redis_command z_rows[] = {
	WRITES("zadd", 1, 1, 1),
	WRITES("zrem", 1, 1, 1),
	READS("zcard", 1, 1, 1),
	{ NAME("zdiff"), READ, COUNT(1) },
	{ NAME("zmpop"), WRITE, COUNT(1) },
	READS("zrank", 1, 1, 1),
	READS("zscan", 1, 1, 1),
	READS("zcount", 1, 1, 1),
	{ NAME("zinter"), READ, COUNT(1) },
	READS("zrange", 1, 1, 1),
	READS("zscore", 1, 1, 1),
	{ NAME("zunion"), READ, COUNT(1) },
	WRITES("zincrby", 1, 1, 1),
	READS("zmscore", 1, 1, 1),
	WRITES("zpopmax", 1, 1, 1),
	WRITES("zpopmin", 1, 1, 1),
	READS("zrevrank", 1, 1, 1),
	READS("zlexcount", 1, 1, 1),
	READS("zrevrange", 1, 1, 1),
	{ NAME("zdiffstore"), WRITE, KEYS(1, 1, 1), COUNT(2) },
	{ NAME("zintercard"), READ, COUNT(1) },
	{ NAME("zinterstore"), WRITE, KEYS(1, 1, 1), COUNT(2) },
	READS("zrandmember", 1, 1, 1),
	READS("zrangebylex", 1, 1, 1),
	WRITES("zrangestore", 1, 2, 1),
	{ NAME("zunionstore"), WRITE, KEYS(1, 1, 1), COUNT(2) },
	READS("zrangebyscore", 1, 1, 1),
	WRITES("zremrangebylex", 1, 1, 1),
	READS("zrevrangebylex", 1, 1, 1),
	WRITES("zremrangebyrank", 1, 1, 1),
	WRITES("zremrangebyscore", 1, 1, 1),
	READS("zrevrangebyscore", 1, 1, 1)
};

#define LETTER(letter, rows)    [letter - 'a'] = { rows, NELEMS(rows) }

const struct redis_letter redis_table[26] = {
	LETTER('a', a_rows),
	LETTER('b', b_rows),
	LETTER('c', c_rows),
	LETTER('d', d_rows),
	LETTER('e', e_rows),
	LETTER('f', f_rows),
	LETTER('g', g_rows),
	LETTER('h', h_rows),
	LETTER('i', i_rows),
	LETTER('k', k_rows),
	LETTER('l', l_rows),
	LETTER('m', m_rows),
	LETTER('o', o_rows),
	LETTER('p', p_rows),
	LETTER('q', q_rows),
	LETTER('r', r_rows),
	LETTER('s', s_rows),
	LETTER('t', t_rows),
	LETTER('u', u_rows),
	LETTER('w', w_rows),
	LETTER('x', x_rows),
	LETTER('z', z_rows)
};
