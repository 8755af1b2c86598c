// Node's http2 server as the origin and its client, with weir between them.
//
// usage: node node_http2.mjs WEIR_PORT ORIGIN_PORT
//
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';

const [front, origin] = process.argv.slice(2).map(Number);
const server = http2.createServer({ settings: { maxConcurrentStreams: 20 } });

async function all(stream) {
	const parts = [];

	for await (const part of stream)
		parts.push(part);
	return Buffer.concat(parts);
}

server.on('stream', async (stream, fields) => {
	stream.on('error', () => {});
	if (fields[':path'] === '/reset') {
		stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
		return;
	}
	stream.additionalHeaders({ ':status': 103, link: '</a>' });
	const body = await all(stream);

	stream.respond({ ':status': 200, 'x-method': fields[':method'] },
	    { waitForTrailers: true });
	stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': '1' }));
	stream.end(body);
});
server.listen(origin, '127.0.0.1');
await once(server, 'listening');

const client = http2.connect('http://127.0.0.1:' + front);

async function ask(fields, body) {
	const stream = client.request({ ':method': 'POST', ...fields });
	let trailers, hints = 0, head;

	stream.on('headers', () => hints++);
	stream.on('response', (h) => head = h);
	stream.on('trailers', (t) => trailers = t);
	stream.end(body);
	return { body: await all(stream), head, trailers, hints };
}

for (const n of [0, 1, 100000, 3000000]) {
	const body = randomBytes(n);
	const got = await ask({ ':path': '/' + n }, body);

	assert.ok(got.body.equals(body));
	assert.equal(got.head[':status'], 200);
	assert.equal(got.trailers['x-end'], '1');
	assert.equal(got.hints, 1);
}
await Promise.all(Array.from({ length: 100 }, async (_, i) => {
	const body = randomBytes(i * 1000);

	assert.ok((await ask({ ':path': '/' }, body)).body.equals(body));
}));
assert.equal((await ask({ ':path': '/reset' }, '')).head[':status'], 502);
client.close();
process.exit(0);         // weir keeps its connections to the server
