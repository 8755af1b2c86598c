// Node's http server as the origin and its client, with weir between them.
//
// usage: node node_http.mjs CASE WEIR_PORT ORIGIN_PORT
//
// Prints, as JSON, how many connections the origin has accepted.
//
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

const [name, front, origin] = [process.argv[2], ...process.argv.slice(3)
    .map(Number)];
const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
let connections = 0;

const sha = (bytes) => createHash('sha256').update(bytes).digest('hex');

async function all(stream) {
	const parts = [];

	for await (const part of stream)
		parts.push(part);
	return Buffer.concat(parts);
}

async function serve(handler, events = {}) {
	const server = http.createServer({ requestTimeout: 0 }, handler);

	server.on('connection', () => connections++);
	for (const [event, listener] of Object.entries(events))
		server.on(event, listener);
	server.listen(origin, '127.0.0.1');
	await once(server, 'listening');
	return server;
}

function start(options) {
	return http.request({ host: '127.0.0.1', port: front, agent,
	    ...options });
}

async function answer(request) {
	const [response] = await once(request, 'response');

	response.bytes = await all(response);
	return response;
}

async function ask(options, body) {
	const request = start(options);

	request.end(body);
	return answer(request);
}

async function echo(request, response) {
	const body = await all(request);

	response.setHeader('X-Sha', sha(body));
	response.end(body);
}

// The connection that a failed exchange left behind hurts nobody.
async function still_works() {
	const response = await ask({ path: '/still' });

	assert.equal(response.statusCode, 200);
}

const cases = {
	async bodies_go_both_ways() {
		await serve(echo);
		const sizes = [0, 1, 2, 16383, 16384, 65535, 65537, 1 << 20,
		    5 << 20];
		const one = async (size, chunked) => {
			const body = randomBytes(size);
			const headers = chunked ? {} : {
				'Content-Length': size };
			const request = start({ method: 'POST', headers });

			for (let at = 0; at < size; at += 40000)
				request.write(body.subarray(at, at + 40000));
			request.end();
			const response = await answer(request);
			assert.equal(response.statusCode, 200);
			assert.equal(response.headers['x-sha'], sha(body));
			assert.equal(sha(response.bytes), sha(body));
		};

		await Promise.all(sizes.flatMap((size) => [one(size, false),
		    one(size, true), one(size, true)]));
	},

	async trailers_follow_bodies() {
		await serve(async (request, response) => {
			const body = await all(request);

			response.writeHead(200, { Trailer: 'X-Sum' });
			response.write(body);
			response.addTrailers({ 'X-Sum': sha(body),
				'X-Theirs': request.trailers['x-sum'] ??
				'none' });
			response.end();
		});
		for (let n = 0; n < 20; n++) {
			const body = randomBytes(n * 5000 + 1);
			const request = start({ method: 'POST', headers: {
				Trailer: 'X-Sum', TE: 'trailers',
				'Transfer-Encoding': 'chunked' } });

			request.write(body);
			request.addTrailers({ 'X-Sum': sha(body) });
			request.end();
			const response = await answer(request);
			assert.equal(sha(response.bytes), sha(body));
			assert.deepEqual({ ...response.trailers }, {
				'x-sum': sha(body), 'x-theirs': sha(body) });
		}
	},

	async bodies_wait_for_100_continue() {
		let asked = 0;

		await serve(echo, { checkContinue(request, response) {
			asked++;
			if (request.url === '/no') {
				response.writeHead(403, {
					Connection: 'close' });
				response.end('no');
				return;
			}
			response.writeContinue();
			echo(request, response);
		} });
		for (let n = 0; n < 20; n++) {
			const body = randomBytes(100000);
			const request = start({ method: 'PUT', headers: {
				Expect: '100-continue',
				'Content-Length': body.length } });

			request.flushHeaders();
			await once(request, 'continue');
			request.end(body);
			const response = await answer(request);
			assert.equal(response.headers['x-sha'], sha(body));
		}
		assert.equal(asked, 20);
		const request = start({ method: 'PUT', path: '/no', headers: {
			Expect: '100-continue', 'Content-Length': 10 } });
		request.on('continue', () => assert.fail('100 after a no'));
		request.on('error', () => {});
		request.flushHeaders();
		const response = await answer(request);
		assert.equal(response.statusCode, 403);
		request.destroy();
		await still_works();
	},

	async early_hints_come_early() {
		let finish;

		await serve((request, response) => {
			response.writeEarlyHints({ link:
			    '</style.css>; rel=preload; as=style' });
			finish = () => response.end('late');
		});
		for (let n = 0; n < 10; n++) {
			const request = start({});

			request.end();
			// The final response is not made before these came.
			const [hints] = await once(request, 'information');
			assert.equal(hints.statusCode, 103);
			assert.equal(hints.headers.link,
			    '</style.css>; rel=preload; as=style');
			finish();
			const response = await answer(request);
			assert.equal(response.bytes.toString(), 'late');
		}
	},

	async an_agent_keeps_its_connection() {
		await serve(echo);
		const single = new http.Agent({ keepAlive: true,
			maxSockets: 1 });
		let reused = 0;

		for (let n = 0; n < 300; n++) {
			const request = start({ agent: single, method: 'POST' });

			request.end('n' + n);
			const response = await answer(request);
			assert.equal(response.bytes.toString(), 'n' + n);
			reused += request.reusedSocket;
		}
		assert.equal(reused, 299);
	},

	async no_body_where_none_may_be() {
		await serve((request, response) => {
			response.statusCode = Number(request.url.slice(1));
			response.setHeader('ETag', '"e"');
			response.end(response.statusCode === 200 ?
			    'x'.repeat(5000) : undefined);
		});
		for (let n = 0; n < 20; n++) {
			for (const [method, status, length] of [
				['HEAD', 200, 0], ['GET', 204, 0],
				['GET', 304, 0], ['GET', 200, 5000]]) {
				const response = await ask({ method,
					path: '/' + status });
				assert.equal(response.statusCode, status);
				assert.equal(response.bytes.length, length);
			}
		}
	},

	// A client that is gone and one that only said it will send no more
	// look alike until something is written to it, so this origin does.
	async a_client_aborts_a_response() {
		let gone;

		await serve((request, response) => {
			if (request.url === '/still') {
				response.end('still');
				return;
			}
			const more = setInterval(() =>
			    response.write('x'.repeat(100)), 5);
			response.on('close', () => {
				clearInterval(more);
				gone();
			});
		});

		for (let n = 0; n < 10; n++) {
			const left = new Promise((done) => { gone = done; });
			const request = start({});

			request.end();
			const [response] = await once(request, 'response');
			response.on('error', () => {});
			request.on('error', () => {});
			await once(response, 'data');
			response.destroy();
			await left;             // the origin hears of it
			await still_works();
		}
	},

	async a_client_aborts_an_upload() {
		await serve((request, response) => {
			if (request.url === '/still') {
				response.end('still');
				return;
			}
			request.on('error', () => {});
			request.on('data', () => came());
			request.on('aborted', () => gone());
			request.on('end', () => assert.fail('it looks whole'));
		});
		let came, gone;

		for (let n = 0; n < 10; n++) {
			const arrived = new Promise((done) => { came = done; });
			const left = new Promise((done) => { gone = done; });
			const request = start({ method: 'POST', headers:
			    n % 2 ? {} : { 'Content-Length': 1000000 } });

			request.on('error', () => {});
			request.write('x'.repeat(1000));
			await arrived;
			request.destroy();
			await left;
			await still_works();
		}
	},

	async an_origin_aborts() {
		await serve((request, response) => {
			if (request.url === '/still') {
				response.end('still');
				return;
			}
			if (request.url === '/early') {
				request.socket.destroy();
				return;
			}
			if (request.url === '/length')
				response.setHeader('Content-Length', 1000);
			response.write('x'.repeat(100), () =>
			    setImmediate(() => request.socket.destroy()));
		});
		for (let n = 0; n < 5; n++) {
			const response = await ask({ path: '/early' });
			assert.equal(response.statusCode, 502);
			await still_works();
			for (const path of ['/length', '/chunked']) {
				await assert.rejects(ask({ path }),
				    (e) => e.code === 'ECONNRESET', path);
				await still_works();
			}
		}
	},

	// A Node origin closes what has been idle for keepAliveTimeout, here in
	// the midst of requests that come about as often.
	async an_origin_that_closes_idle_connections() {
		const server = await serve(echo);

		server.keepAliveTimeout = 20;
		for (let n = 0; n < 60; n++) {
			const response = await ask({ path: '/' + n });

			assert.equal(response.statusCode, 200);
			await new Promise((done) =>
			    setTimeout(done, 15 + n % 15));
		}
	},
};

await cases[name]();
console.log(JSON.stringify({ connections }));
process.exit(0);
