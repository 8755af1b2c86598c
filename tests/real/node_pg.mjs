// pg (node-postgres) and postgres (postgres.js) as applications use them.
// PGHOST and so on say where.
// usage: node node_pg.mjs FOLDER-OF-NODE_MODULES LIBRARY
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [folder, library] = process.argv.slice(2);
const require = createRequire(folder + "/");
const numbers = (n) => [...Array(n).keys()];

async function pg() {
	const { Pool, Client } = require("pg");
	const pool = new Pool({ max: 20 });
	await pool.query("CREATE TABLE t (n int PRIMARY KEY, x text)");
	// A thousand at once, named statements among them.
	const many = await Promise.all(numbers(1000).map((n) => n % 2
		? pool.query({ name: "add" + n % 7, text: `SELECT $1::int + ${n % 7} AS r`, values: [n] })
		: pool.query("SELECT $1::int + $2::int AS r", [n, n % 7])));
	many.forEach((r, n) => assert.equal(r.rows[0].r, n + (n % 7)));
	await Promise.all(numbers(40).map(async (n) => {
		const c = await pool.connect();
		await c.query("BEGIN");
		await c.query("INSERT INTO t VALUES ($1, $2)", [n, "x"]);
		const r = await c.query("SELECT count(*)::int AS r FROM t WHERE n = $1", [n]);
		assert.equal(r.rows[0].r, 1);
		await c.query(n % 2 ? "ROLLBACK" : "COMMIT");
		c.release();
	}));
	assert.equal((await pool.query("SELECT count(*)::int AS r FROM t")).rows[0].r, 20);
	await assert.rejects(pool.query("INSERT INTO t VALUES (0, 'twice')"), { code: "23505" });
	await assert.rejects(pool.query("SELECT $1::int", ["x"]), { code: "22P02" });
	const rows = await pool.query("SELECT n, repeat('x', 100) AS x FROM generate_series(1, 50000) n");
	assert.equal(rows.rows.length, 50000);
	const two = await pool.query("SELECT 1 AS a; SELECT 2 AS b");
	assert.deepEqual(two.map((r) => r.rows[0]), [{ a: 1 }, { b: 2 }]);

	const named = new Client({ application_name: "named", statement_timeout: 60000 });
	await named.connect();
	assert.equal((await named.query("SHOW application_name")).rows[0].application_name, "named");
	assert.equal((await named.query("SHOW statement_timeout")).rows[0].statement_timeout, "1min");
	assert.equal((await pool.query("SHOW statement_timeout")).rows[0].statement_timeout, "0");

	const ear = new Client();
	await ear.connect();
	const heard = [];
	ear.on("notification", (m) => heard.push(m.payload));
	await ear.query("LISTEN ch");
	for (const n of numbers(10))
		await pool.query("SELECT pg_notify('ch', $1)", [String(n)]);
	while (heard.length < 10)
		await new Promise((done) => setTimeout(done, 5));
	assert.deepEqual(heard, numbers(10).map(String));
	await Promise.all([ear.end(), named.end(), pool.end()]);
}

async function postgresJs() {
	const postgres = require("postgres");
	// It prepares each text under a name, and pipelines.
	const sql = postgres({ max: 12, onnotice: () => {} });
	await sql`CREATE TABLE IF NOT EXISTS t (n int PRIMARY KEY, x text)`;
	const many = await Promise.all(numbers(1000).map((n) =>
		n % 3 ? sql`SELECT ${n}::int AS r, ${"x" + n} AS s` : sql`SELECT ${n}::int AS r`));
	many.forEach((r, n) => assert.equal(r[0].r, n));
	await sql`INSERT INTO t ${sql(numbers(500).map((n) => ({ n, x: "x" + n })))}`;
	await Promise.all(numbers(30).map((n) => sql.begin(async (tx) => {
		await tx`UPDATE t SET x = ${"u" + n} WHERE n = ${n}`;
		const [r] = await tx`SELECT x FROM t WHERE n = ${n}`;
		assert.equal(r.x, "u" + n);
		await tx.savepoint(async (sp) => {
			await sp`INSERT INTO t VALUES (${n}, 'twice')`;
		}).then(() => assert.fail("a duplicate"), (e) => assert.equal(e.code, "23505"));
		const all = await Promise.all([tx`SELECT 1 AS r`, tx`SELECT 2 AS r`]);
		assert.deepEqual(all.map((r) => r[0].r), [1, 2]);
	})));
	let seen = 0;
	await sql`SELECT * FROM t ORDER BY n`.cursor(50, (rows) => {
		seen += rows.length;
	});
	assert.equal(seen, 500);
	await sql`SELECT * FROM t`.forEach(() => seen++);
	assert.equal(seen, 1000);
	await assert.rejects(sql`SELECT ${"x"}::int`, /invalid input|22P02|type/);
	await assert.rejects(sql`TABLE none`, { code: "42P01" });
	const into = await sql`COPY t FROM STDIN`.writable();
	const copied = new Promise((done, failed) => into.on("finish", done).on("error", failed));
	for (const n of numbers(5000))
		into.write(`${n + 1000}\tc\n`);
	into.end();
	await copied;
	// It is read as it flows: postgres.js leaves the socket of a stream that
	// was slow paused for good, with and without weir.
	let bytes = 0;
	const from = await sql`COPY t TO STDOUT`.readable();
	from.on("data", (part) => bytes += part.length);
	await new Promise((done, failed) => from.on("end", done).on("error", failed));
	assert.ok(bytes > 5000 * 7);
	const slow = sql`SELECT pg_sleep(1000)`;
	setTimeout(() => slow.cancel(), 300);
	await assert.rejects(slow, { code: "57014" });
	const heard = [];
	await sql.listen("ch", (x) => heard.push(x));
	for (const n of numbers(10))
		await sql.notify("ch", String(n));
	while (heard.length < 10)
		await new Promise((done) => setTimeout(done, 5));
	assert.deepEqual(heard, numbers(10).map(String));
	const [two] = [await sql.unsafe("SELECT 1 AS a; SELECT 2 AS b").simple()];
	assert.deepEqual(two.map((r) => r[0]), [{ a: 1 }, { b: 2 }]);
	await sql.end();
}

await { pg, postgres: postgresJs }[library]();
console.log("fine");
