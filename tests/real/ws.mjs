// An echo server and clients of npm's ws, with weir between them.
//
// usage: node ws.mjs CASE WEIR_PORT ORIGIN_PORT
//
// Prints, as JSON, how many connections the server has accepted; exit status 77
// without ws.
//
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';

const [name, front, origin] = [process.argv[2], ...process.argv.slice(3)
    .map(Number)];
const require = createRequire(import.meta.url);
let connections = 0, deflate = false;

// Debian's node finds Debian's modules by name, others do not.
function load() {
	for (const place of ['', '/usr/share/nodejs/',
	    '/usr/lib/node_modules/', '/usr/local/lib/node_modules/']) {
		try {
			return require(place + 'ws');
		} catch (e) {
			if (e.code !== 'MODULE_NOT_FOUND')
				throw e;
		}
	}
	console.log('ws is not installed');
	process.exit(77);
}

const ws = load();

// Echoes; "bye" and "cut" make it end first; it notes what it sees.
async function serve() {
	const seen = { closes: [], pings: 0 };
	const server = http.createServer((request, response) =>
	    response.end('plain'));

	server.on('connection', () => connections++);
	const accept = new ws.WebSocketServer({ server,
		perMessageDeflate: deflate, maxPayload: 8 << 20 });
	accept.on('connection', (socket) => {
		socket.on('ping', () => seen.pings++);
		socket.on('close', (code, why) => {
			seen.closes.push([code, why.toString()]);
			server.emit('left');
		});
		socket.on('message', (bytes, binary) => {
			if (!binary && bytes.toString() === 'bye')
				socket.close(4001, 'as you wish');
			else if (!binary && bytes.toString() === 'cut')
				socket.terminate();
			else
				socket.send(bytes, { binary });
		});
	});
	server.listen(origin, '127.0.0.1');
	await once(server, 'listening');
	seen.server = server;
	return seen;
}

async function open() {
	const socket = new ws.WebSocket('ws://127.0.0.1:' + front + '/chat',
	    'chat', { perMessageDeflate: deflate });

	await once(socket, 'open');
	assert.equal(socket.protocol, 'chat');
	return socket;
}

async function echo(socket, message) {
	socket.send(message);
	const [bytes, binary] = await once(socket, 'message');

	assert.equal(binary, typeof message !== 'string');
	assert.ok(Buffer.from(message).equals(bytes));
}

// Close from here, and both sides know.
async function close(socket, seen) {
	const before = seen.closes.length;
	const told = once(seen.server, 'left');

	socket.close(1000, 'done');
	const [code] = await once(socket, 'close');
	assert.equal(code, 1000);
	await told;
	assert.deepEqual(seen.closes[before], [1000, 'done']);
}

const cases = {
	async text_and_binary() {
		const seen = await serve();
		const socket = await open();

		for (const text of ['', 'a', 'grüße', 'x'.repeat(126),
		    'y'.repeat(65536)])
			await echo(socket, text);
		for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20])
			await echo(socket, randomBytes(size));
		await close(socket, seen);
	},

	async compressed() {
		deflate = true;
		const seen = await serve();
		const socket = await open();

		assert.match(socket.extensions, /permessage-deflate/);
		await echo(socket, 'word '.repeat(100000));
		await close(socket, seen);
	},

	async ping_and_pong() {
		const seen = await serve();
		const socket = await open();

		for (let n = 0; n < 20; n++) {
			socket.ping('p' + n);
			const [pong] = await once(socket, 'pong');
			assert.equal(pong.toString(), 'p' + n);
		}
		assert.equal(seen.pings, 20);
		await close(socket, seen);
	},

	async the_server_closes_first() {
		await serve();
		const socket = await open();

		socket.send('bye');
		const [code, why] = await once(socket, 'close');
		assert.deepEqual([code, why.toString()],
		    [4001, 'as you wish']);
	},

	async either_end_is_cut() {
		const seen = await serve();

		for (let n = 0; n < 5; n++) {
			const socket = await open();
			const told = once(seen.server, 'left');

			await echo(socket, 'before');
			socket.terminate();             // no close frame
			await told;
			assert.equal(seen.closes.at(-1)[0], 1006);
		}
		const socket = await open();
		socket.send('cut');
		const [code] = await once(socket, 'close');
		assert.equal(code, 1006);
	},

	async fifty_at_once() {
		const seen = await serve();
		const sockets = await Promise.all(
		    Array.from({ length: 50 }, open));

		for (let n = 0; n < 10; n++)
			await Promise.all(sockets.map((socket, i) =>
			    echo(socket, 'client ' + i + ' says ' + n)));
		assert.equal(connections, 50);
		await Promise.all(sockets.map(async (socket) => {
			socket.close(1000);
			await once(socket, 'close');
		}));
		while (seen.closes.length < 50)
			await once(seen.server, 'left');
	},

	async plain_requests_beside_tunnels() {
		const seen = await serve();
		const agent = new http.Agent({ keepAlive: true,
			maxSockets: 1 });
		const socket = await open();

		for (let n = 0; n < 20; n++) {
			const request = http.get({ host: '127.0.0.1',
				port: front, agent });
			const [response] = await once(request, 'response');
			const [bytes] = await response.toArray();
			assert.equal(bytes.toString(), 'plain');
			await echo(socket, 'tunnel ' + n);
		}
		await close(socket, seen);
	},
};

await cases[name]();
console.log(JSON.stringify({ connections }));
process.exit(0);
