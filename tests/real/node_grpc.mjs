// @grpc/grpc-js as the server and as its clients, with weir between them: one
// case of each kind of call, and what clients are told of those that fail.
//
// usage: node node_grpc.mjs FOLDER CASE WEIR_PORT ORIGIN_PORT
//
// Messages are bytes: nothing here needs a .proto.
//
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';

const [folder, name, front, origin] = process.argv.slice(2);
const grpc = createRequire(folder + '/')('@grpc/grpc-js');
const plain = (bytes) => bytes;
const kinds = { Unary: [false, false], Upload: [true, false],
    Download: [false, true], Chat: [true, true] };
const methods = Object.fromEntries(Object.entries(kinds).map(
    ([method, [requestStream, responseStream]]) => [method, {
	path: '/test.Echo/' + method, requestStream, responseStream,
	requestSerialize: plain, requestDeserialize: plain,
	responseSerialize: plain, responseDeserialize: plain }]));

let sessions = 0, hung = 0;

const handlers = {
	Unary(call, done) {
		const code = call.metadata.get('fail-with')[0];
		const trailers = new grpc.Metadata();

		trailers.set('sum', String(call.request.length));
		if (code !== undefined)
			done({ code: Number(code), details: 'as asked: 100 %' });
		else if (call.metadata.get('hang')[0] !== undefined)
			hung++;
		else
			done(null, call.request, trailers);
	},
	Upload(call, done) {
		let n = 0;

		call.on('data', (bytes) => n += bytes.length);
		call.on('end', () => done(null, Buffer.from(String(n))));
	},
	async Download(call) {
		const n = Number(call.request.toString());

		for (let i = 0; i < n; i++)
			if (!call.write(Buffer.alloc(5000, i)))
				await once(call, 'drain');
		call.end();
	},
	Chat(call) {
		call.on('data', (bytes) => {
			if (bytes.toString() === 'enough') {
				call.emit('error', { code: 9, details: 'enough' });
				return;
			}
			call.write(Buffer.concat([bytes, bytes]));
		});
		call.on('end', () => call.end());
	}
};

async function serve() {
	const server = new grpc.Server();

	server.addService(methods, handlers);
	await new Promise((good, bad) => server.bindAsync(
	    '127.0.0.1:' + origin, grpc.ServerCredentials.createInsecure(),
	    (error) => error ? bad(error) : good()));
	return server;
}

const client = new grpc.Client('127.0.0.1:' + front,
    grpc.credentials.createInsecure(), { 'grpc.enable_retries': 0 });

function unary(bytes, fields = {}, options = {}) {
	const metadata = new grpc.Metadata();

	for (const [key, value] of Object.entries(fields))
		metadata.set(key, value);
	return new Promise((good, bad) => {
		let status;
		const call = client.makeUnaryRequest(methods.Unary.path, plain,
		    plain, bytes, metadata, options, (error, answer) =>
		    setImmediate(() => error ? bad(error) : good([answer, status])));

		call.on('status', (s) => status = s);
	});
}

async function fails(promise, code, words) {
	const error = await promise.then(() => assert.fail('it did not fail'),
	    (e) => e);

	assert.equal(error.code, code, error.message);
	assert.match(error.details, words);
}

async function all(call) {
	const parts = [];

	for await (const part of call)
		parts.push(part);
	return parts;
}

const cases = {
	async unary() {
		for (const n of [0, 1, 70000, 1000000]) {
			const bytes = randomBytes(n);
			const [answer, status] = await unary(bytes);

			assert.deepEqual(answer, bytes);
			assert.equal(status.code, 0);
			assert.deepEqual(status.metadata.get('sum'), [String(n)]);
		}
		await Promise.all(Array.from({ length: 200 }, async (_, i) => {
			const bytes = Buffer.from('number ' + i);

			assert.deepEqual((await unary(bytes))[0], bytes);
		}));
	},
	async failures_pass() {
		for (const code of [3, 5, 7, 14, 16])
			await fails(unary(Buffer.alloc(3), { 'fail-with':
			    String(code) }), code, /as asked: 100 %/);
	},
	async upload() {
		const answer = await new Promise((good, bad) => {
			const call = client.makeClientStreamRequest(
			    methods.Upload.path, plain, plain,
			    (error, got) => error ? bad(error) : good(got));

			for (let i = 0; i < 300; i++)
				call.write(Buffer.alloc(5000, i));
			call.end();
		});

		assert.equal(answer.toString(), '1500000');
	},
	async download() {
		const call = client.makeServerStreamRequest(
		    methods.Download.path, plain, plain, Buffer.from('300'));
		const parts = await all(call);

		assert.equal(parts.length, 300);
		assert.ok(parts.every((p, i) => p.length === 5000 &&
		    p[0] === i % 256));
	},
	async chat() {
		const call = client.makeBidiStreamRequest(methods.Chat.path,
		    plain, plain);

		for (let i = 0; i < 50; i++) {
			call.write(Buffer.from('m' + i));
			const [answer] = await once(call, 'data');

			assert.equal(answer.toString(), `m${i}m${i}`);
		}
		call.end();
		await once(call, 'end');
	},
	async a_server_ends_a_chat() {
		const call = client.makeBidiStreamRequest(methods.Chat.path,
		    plain, plain);
		const ended = new Promise((good) => call.on('error', good));

		call.on('data', () => {});
		call.write(Buffer.from('enough'));
		const error = await ended;

		assert.equal(error.code, 9, error.message);
		assert.equal(error.details, 'enough');
		await unary(Buffer.from('and on'));
	},
	async cancelled_and_late() {
		/* On a machine that is slow it may be late before it is sent. */
		for (let ms = 200; hung === 0; ms *= 2)
			await fails(unary(Buffer.alloc(1), { hang: '1' },
			    { deadline: Date.now() + ms }), 4, /./);
		await unary(Buffer.from('and on'));
	},
	async many_clients() {
		const others = Array.from({ length: 10 }, () => new grpc.Client(
		    '127.0.0.1:' + front, grpc.credentials.createInsecure(),
		    { 'grpc.use_local_subchannel_pool': 1 }));

		await Promise.all(others.map((one) => new Promise((good, bad) =>
		    one.makeUnaryRequest(methods.Unary.path, plain, plain,
		    Buffer.from('x'), (e) => e ? bad(e) : good()))));
		others.forEach((one) => one.close());
	}
};

if (name === 'nobody_there') {
	await fails(unary(Buffer.alloc(1)), 14, /^connect_failed: /);
} else {
	const server = await serve();

	await cases[name]();
	server.forceShutdown();
}
client.close();
await pause(0);
process.exit(0);
