// weir's HTTP parser beside llhttp, the one inside Node: what weir accepts,
// llhttp must read as the same messages with the same bodies. To see where it
// thinks that a message ends, a second message follows each first one. weir
// may refuse what llhttp accepts; where weir waits for more bytes, llhttp must
// not have seen a whole message.
//
// usage: parse_dump [DAMAGED] | node llhttp_compare.mjs
//
// SPDX-License-Identifier: MIT
import http from "node:http";
import { createInterface } from "node:readline";

process.removeAllListeners("warning");
process.noDeprecation = true;
const { HTTPParser } = process.binding("http_parser");

const BODY_MAX = 64 * 1024;
const SECOND = {
	request: "GET /second HTTP/1.1\r\nHost: second\r\n\r\n",
	response: "HTTP/1.1 299 Second\r\nContent-Length: 0\r\n\r\n",
};
const CHUNKED = "POST / HTTP/1.1\r\nHost: a\r\n" +
	"Transfer-Encoding: chunked\r\n\r\n";

// What llhttp refuses by its own choice, though RFC 9110 and 9112 allow it.
function refusesByChoice(row, code) {
	const bytes = text(row.bytes);

	switch (code) {
	case "HPE_INVALID_METHOD":              // it knows a list of them
		return row.kind === "request" &&
			!http.METHODS.includes(text(row.method));
	case "HPE_INVALID_TRANSFER_ENCODING":   // in trailers, which weir drops
		return row.kind === "chunks" &&
			/^transfer-encoding:/im.test(bytes);
	case "HPE_INVALID_CONTENT_LENGTH":
		return row.kind === "chunks" &&
			/^content-length:/im.test(bytes);
	default:
		return false;
	}
}

function text(hex) {
	return Buffer.from(hex, "hex").toString("latin1");
}

// All messages that llhttp finds in the bytes.
function read(kind, bytes, row, atEnd) {
	const parser = new HTTPParser();
	const seen = { messages: [], code: null, used: bytes.length };
	let message, early = "";

	parser.initialize(kind === "response" ? HTTPParser.RESPONSE :
		HTTPParser.REQUEST, {}, BODY_MAX, HTTPParser.kLenientNone);
	// Many fields come in parts, the target with the first; and trailers.
	parser[HTTPParser.kOnHeaders | 0] = (fields, url) => {
		early += url;
	};
	parser[HTTPParser.kOnHeadersComplete | 0] =
	    (major, minor, fields, method, url, status, reason, upgrade) => {
		message = { url: url ?? early, status, upgrade, body: [],
			whole: false };
		early = "";
		seen.messages.push(message);
		if (row.to_connect && status < 300) {
			message.upgrade = true;
			return 2;       // no body, another protocol follows
		}
		return row.to_head ? 1 : 0;
	};
	parser[HTTPParser.kOnBody | 0] = (part) => {
		message.body.push(Buffer.from(part));
	};
	parser[HTTPParser.kOnMessageComplete | 0] = () => {
		message.whole = true;
		early = "";
	};
	for (const result of [parser.execute(bytes),
	    atEnd ? parser.finish() : undefined]) {
		if (result instanceof Error)
			seen.code ??= result.code;
		else if (typeof result === "number")
			seen.used = result;
	}
	for (const m of seen.messages)
		m.body = Buffer.concat(m.body);
	return seen;
}

// The bytes of a first message as weir delimits it, and its payload.
function firstMessage(row) {
	const bytes = Buffer.from(row.bytes, "hex").subarray(0, row.size);
	const length = Math.min(Number(row.length), BODY_MAX);

	switch (row.kind === "chunks" ? "chunks" : row.body) {
	case "chunks":
		return { bytes: Buffer.concat([Buffer.from(CHUNKED), bytes]),
			payload: Buffer.from(row.payload, "hex") };
	case "length":
		return { payload: Buffer.alloc(length, "b"), bytes:
			Buffer.concat([bytes, Buffer.alloc(length, "b")]),
			endless: Number(row.length) > BODY_MAX };
	case "chunked":
		return { payload: Buffer.from("hello"), bytes: Buffer.concat(
			[bytes, Buffer.from("5\r\nhello\r\n0\r\n\r\n")]) };
	case "close":
		return { payload: Buffer.from("hello"), atEnd: true,
			bytes: Buffer.concat([bytes, Buffer.from("hello")]) };
	default:
		return { bytes, payload: Buffer.alloc(0) };
	}
}

// undefined = both agree; else what llhttp made of it.
function differs(row) {
	const kind = row.kind === "response" ? "response" : "request";
	const first = firstMessage(row);
	const follows = !first.endless && !first.atEnd &&
		row.keep_alive !== false;
	const seen = read(kind, follows ? Buffer.concat([first.bytes,
		Buffer.from(SECOND[kind])]) : first.bytes, row, first.atEnd);
	const [one, two] = seen.messages;
	const upgraded = one?.upgrade && seen.code === null;

	// llhttp takes a tab after an option for a part of it. That says who
	// closes, not where the body ends; and weir writes Connection anew.
	if (row.kind !== "chunks" && /^connection:.*\t/im.test(text(row.bytes)))
		return one?.whole && !one.body.equals(first.payload) ?
			`body of ${one.body.length} bytes` : undefined;
	if (seen.code !== null && !one?.whole &&
	    refusesByChoice(row, seen.code))
		return undefined;
	if (seen.code !== null || one === undefined)
		return `refuses: ${seen.code}`;
	if (kind === "request" && row.target && one.url !== text(row.target))
		return `target ${one.url}`;
	if (kind === "response" && one.status !== row.status)
		return `status ${one.status}`;
	if (!one.body.equals(first.payload))
		return `body of ${one.body.length} bytes`;
	if (one.whole === !!first.endless)
		return one.whole ? "an end" : "no end";
	if (upgraded)
		return seen.used === first.bytes.length ? undefined :
			`upgrade after ${seen.used} bytes`;
	if (seen.messages.length !== (follows ? 2 : 1))
		return `${seen.messages.length} messages`;
	if (follows && two.url !== "/second" && two.status !== 299)
		return `another second message: ${two.url ?? two.status}`;
	return undefined;
}

// weir waits: a whole message seen by llhttp would be one it ends earlier.
function endsEarly(row) {
	const bytes = Buffer.from(row.bytes, "hex");
	const seen = read(row.kind, row.kind === "chunks" ? Buffer.concat(
		[Buffer.from(CHUNKED), bytes]) : bytes, row, false);

	return seen.code === null && seen.messages.some((m) => m.whole) ?
		"a whole message" : undefined;
}

let passed = 0, failed = 0, accepted = 0, refused = 0;

for await (const line of createInterface({ input: process.stdin })) {
	const row = JSON.parse(line);

	if (row.verdict === "bad") {            // nothing to agree about
		refused++;
		continue;
	}
	if (row.verdict === "done")
		accepted++;
	const what = row.verdict === "done" ? differs(row) : endsEarly(row);
	if (what === undefined) {
		passed++;
		continue;
	}
	failed++;
	console.log(`FAIL ${row.kind} ${row.name}: llhttp sees ${what}`);
	console.log(`     ${JSON.stringify(text(row.bytes).slice(0, 400))}`);
}
console.log(`llhttp ${process.versions.llhttp}, ` +
	`weir accepted ${accepted} messages and refused ${refused}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || accepted === 0 ? 1 : 0);
