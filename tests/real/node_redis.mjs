// ioredis and redis (node-redis) as applications use them, through weir.
// usage: node node_redis.mjs FOLDER-OF-NODE_MODULES PORT LIBRARY
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [folder, port, library] = process.argv.slice(2);
const require = createRequire(folder + "/");

async function ioredis() {
	const Redis = require("ioredis");
	const open = (more) => new Redis({ port: +port, host: "127.0.0.1", ...more });
	const a = open(), b = open(), sub = open(), db3 = open({ db: 3, connectionName: "three" });
	await a.set("k", "v");
	assert.equal(await b.get("k"), "v");
	assert.equal(await db3.get("k"), null);
	await db3.set("k", "three");
	assert.equal(await db3.client("GETNAME"), "three");
	assert.equal(await a.client("GETNAME"), null);
	// A thousand at once, pipelined by the library itself.
	const many = await Promise.all([...Array(1000).keys()].map(async (n) => {
		const c = n % 2 ? a : b;
		await c.set("k" + n, "v" + n);
		return c.get("k" + n);
	}));
	many.forEach((v, n) => assert.equal(v, "v" + n));
	const p = await a.pipeline().set("p", 1).incr("p").get("p").exec();
	assert.deepEqual(p.map((x) => x[1]), ["OK", 2, "2"]);
	for (let n = 0; n < 20; n++) {
		const m = await a.multi().set("m", n).get("m").exec();
		assert.deepEqual(m.map((x) => x[1]), ["OK", String(n)]);
	}
	await a.watch("m");
	await b.set("m", "x");
	assert.equal(await a.multi().set("m", "y").exec(), null);
	assert.equal(await a.eval("return {KEYS[1], ARGV[1]}", 1, "x", "y").then(String), "x,y");
	a.defineCommand("twice", { numberOfKeys: 1, lua: "return redis.call('get', KEYS[1]) .. ARGV[1]" });
	assert.equal(await a.twice("k", "!"), "v!");
	const popped = b.blpop("list", 10);
	await a.rpush("list", "x");
	assert.deepEqual(await popped, ["list", "x"]);
	const news = [];
	await sub.subscribe("news");
	sub.on("message", (channel, text) => news.push(channel + text));
	for (let n = 0; n < 10; n++)
		assert.equal(await a.publish("news", n), 1);
	while (news.length < 10)
		await new Promise((done) => setTimeout(done, 5));
	assert.deepEqual(news, [...Array(10).keys()].map((n) => "news" + n));
	await sub.unsubscribe("news");
	assert.equal(await sub.get("k"), "v");
	const big = "x".repeat(3 << 20);
	await a.set("big", big);
	assert.equal(await b.get("big"), big);
	let found = 0;
	for await (const keys of a.scanStream({ match: "k*", count: 100 }))
		found += keys.length;
	assert.ok(found >= 1001);
	await assert.rejects(a.call("NOSUCH"), /unknown command/);
	await Promise.all([a, b, sub, db3].map((c) => c.quit()));
}

// Strings may come as buffers: that is between the library and its user.
const text = (x) => x === null ? null : String(x);

async function noderedis() {
	const { createClient } = require("redis");
	for (const RESP of [2, 3]) {
		const open = async (more) => {
			const c = createClient({ url: `redis://127.0.0.1:${port}`, RESP, ...more });
			await c.connect();
			return c;
		};
		const a = await open(), b = await open(), db2 = await open({ database: 2 });
		const named = await open({ name: "me" });
		await a.set("k", "v");
		assert.equal(text(await b.get("k")), "v");
		assert.equal(await db2.get("k"), null);
		assert.equal(text(await named.clientGetName()), "me");
		assert.equal(await a.clientGetName(), null);
		await a.del("h");
		await a.hSet("h", { one: "1", two: "2" });
		const h = await a.hGetAll("h");
		assert.deepEqual([text(h.one), text(h.two)], ["1", "2"]);
		const many = await Promise.all([...Array(1000).keys()].map(async (n) => {
			const c = n % 2 ? a : b;
			await c.set("k" + n, "v" + n);
			return c.get("k" + n);
		}));
		many.forEach((v, n) => assert.equal(text(v), "v" + n));
		for (let n = 0; n < 20; n++)
			assert.deepEqual((await a.multi().set("m", n + "").get("m").exec()).map(String), ["OK", n + ""]);
		await a.watch("m");
		await b.set("m", "x");
		await assert.rejects(a.multi().set("m", "y").exec(), /watched keys/i);
		const popped = b.blPop("list" + RESP, 10);
		await a.rPush("list" + RESP, "x");
		assert.equal(text((await popped).element), "x");
		const sub = await open();
		const news = [];
		await sub.subscribe("news", (said) => news.push(text(said)));
		for (let n = 0; n < 10; n++)
			assert.equal(await a.publish("news", String(n)), 1);
		while (news.length < 10)
			await new Promise((done) => setTimeout(done, 5));
		assert.deepEqual(news, [...Array(10).keys()].map(String));
		await sub.unsubscribe("news");
		assert.equal(text(await sub.get("k")), "v");
		assert.equal(String(await a.eval("return ARGV[1]", { keys: [], arguments: ["x"] })), "x");
		await a.zAdd("z", { score: 1.5, value: "x" });
		assert.equal(Number(await a.zScore("z", "x")), 1.5);
		await Promise.all([a, b, db2, named, sub].map((c) => c.close ? c.close() : c.quit()));
	}
}

async function memjs() {
	const { Client } = require("memjs");
	const open = () => Client.create("127.0.0.1:" + port, { retries: 0, timeout: 10 });
	const clients = [open(), open(), open()];
	await clients[0].set("k", "v", { expires: 0 });
	assert.equal(String((await clients[1].get("k")).value), "v");
	await Promise.all([...Array(600).keys()].map(async (n) => {
		const c = clients[n % 3];
		assert.ok(await c.set("k" + n, "v" + n, {}));
		assert.equal(String((await c.get("k" + n)).value), "v" + n);
	}));
	assert.equal((await clients[0].get("none")).value, null);
	assert.equal((await clients[0].increment("n", 5, { initial: 10 })).value, 10);
	assert.equal((await clients[1].increment("n", 5, { initial: 10 })).value, 15);
	assert.equal(await clients[0].add("k", "x", {}), false);
	assert.equal(await clients[0].replace("k", "y", {}), true);
	assert.equal(await clients[0].append("k", "z"), true);
	assert.equal(String((await clients[2].get("k")).value), "yz");
	assert.equal(await clients[0].delete("k"), true);
	const big = Buffer.alloc(900000, "b");
	assert.ok(await clients[0].set("big", big, {}));
	assert.ok(big.equals((await clients[1].get("big")).value));
	clients.forEach((c) => c.close());
}

await { ioredis, redis: noderedis, memjs }[library]();
console.log("fine");
