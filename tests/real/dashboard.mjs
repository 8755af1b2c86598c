// The dashboard in Chromium, driven by playwright-core.
//
// usage: node dashboard.mjs NPM_FOLDER CASE JSON
//
// JSON: { chromium, url, front: URL to load, shots: folder or "", ... }. What
// the page does is asserted here; what weir made of it, by who calls this.
//
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [folder, name, json] = process.argv.slice(2);
const { chromium } = createRequire(folder + '/')('playwright-core');
const given = JSON.parse(json);
const slow = Number(process.env.SLOW ?? 1);
const errors = [], elsewhere = [];

// Until it holds; the page is asked, nothing is slept for.
async function until(page, what, holds, argument) {
	try {
		await page.waitForFunction(holds, argument,
		    { timeout: 15000 * slow, polling: 50 });
	} catch (e) {
		throw new Error(`never came: ${what}; the page says: ` +
		    await page.evaluate(() => document.body.innerText), {
			cause: e });
	}
}

const says = (page, text) => until(page, text,
    (t) => document.body.innerText.includes(t), text);

async function open(browser, options = {}, url = given.url) {
	const page = await browser.newPage({
		viewport: { width: 1280, height: 900 }, ...options });

	page.on('console', (m) => {
		// What weir refuses is told of there too; the page shows it.
		if (m.type() === 'error' && !/^Failed to load resource: the /
		    .test(m.text()))
			errors.push(m.text());
	});
	page.on('pageerror', (e) => errors.push(e.stack));
	page.on('request', (r) => {
		if (!r.url().startsWith(url) && !r.url().startsWith('data:'))
			elsewhere.push(r.url());
	});
	await page.goto(url);
	return page;
}

async function shot(page, as) {
	if (!given.shots)
		return;
	// Charts are drawn when they are seen.
	const height = await page.evaluate(() => document.body.scrollHeight);
	for (let y = 0; y < height; y += 400) {
		await page.evaluate((to) => scrollTo(0, to), y);
		await page.waitForTimeout(60);
	}
	await page.evaluate(() => scrollTo(0, 0));
	await page.waitForTimeout(300);
	await page.screenshot({ path: path.join(given.shots, as + '.png'),
		fullPage: await page.evaluate(() =>
		    !document.querySelector('dialog')) });
}

const card = (page, id) => page.locator(`[id="${id}"]`);

// A number of the card in large figures.
const figure = (page, id, what) => page.evaluate(([at, key]) =>
    [...document.getElementById(at).querySelectorAll('.figures > div')]
	.find((d) => d.querySelector('span').textContent === key)
	.querySelector('b').textContent, [id, what]);

async function load(times, target = '') {
	for (let i = 0; i < times; i++)
		await (await fetch(given.front + target)).arrayBuffer();
}

const upstream = 'upstream ' + given.upstream;

// ------------------------------------------------------------------ the steps

async function it_lives(page) {
	await says(page, 'All is well');
	await says(page, '✓ ready');
	await load(5);
	await until(page, 'the requests', (id) =>
	    document.getElementById(id).querySelector('.spark .curve')
		.getAttribute('d').includes('L'), upstream);
	await until(page, 'a rate above 0', () =>
	    document.querySelectorAll('#charts .scale')[0].textContent !== '');
	assert.notEqual(await figure(page, upstream, 'first byte p99'), '0 µs');
}

// Names are text wherever they stand; nothing of them became an element.
async function names_are_text(page, names = [given.hostile[0]]) {
	const shown = await page.evaluate(() => document.body.innerText);

	for (const hostile of names)
		assert(shown.includes(hostile), hostile + ' is not shown: ' + shown);
	assert.equal(await page.evaluate(() => window.hit), undefined);
	assert.equal(await page.locator('main img, dialog img, main script')
	    .count(), 0);
}

// By keyboard alone: the focus goes in, stays there, and comes back.
async function draining_by_keyboard(page) {
	const change = card(page, upstream).getByRole('button',
	    { name: /^Change endpoint/ }).first();

	await change.focus();
	await page.keyboard.press('Enter');
	await page.locator('dialog').waitFor();
	for (let i = 0; i < 12; i++) {
		await page.keyboard.press('Tab');
		// body: the browser's own bars have their turn.
		assert(await page.evaluate(() => document.activeElement ===
		    document.body || document.activeElement.closest('dialog')));
	}
	await shot(page, 'endpoint');
	await page.keyboard.press('Escape');
	await page.locator('dialog').waitFor({ state: 'detached' });
	assert(await page.evaluate(() => document.activeElement.textContent ===
	    'Change…'), 'the focus did not come back');
	await says(page, '✓ up');

	// Nothing is chosen that was not asked for.
	await page.keyboard.press('Enter');
	assert(await page.getByRole('button', { name: 'Nothing to change' })
	    .isDisabled());
	await page.getByRole('radio', { name: 'as the file says' }).focus();
	await page.keyboard.press('ArrowDown');
	await page.getByRole('button', { name: 'Drain it' }).focus();
	await page.keyboard.press('Enter');
	await says(page, '↓ drain');
	await says(page, 'by hand: drain');
	await change.click();
	await page.getByText('as the file says').click();
	await page.getByRole('button', { name: 'Back to the file' }).click();
	await says(page, '✓ up');
}

async function a_weight(page) {
	await card(page, upstream).getByRole('button',
	    { name: /^Change endpoint/ }).first().click();
	await page.getByText('new connections go there').click();
	await page.getByLabel('Weight').fill('7');
	await page.getByRole('button', { name: 'Let it be up' }).click();
	await says(page, 'by hand: up, weight 7');
}

// Weir's own sentence is shown, and the question stays.
async function what_is_refused(page) {
	await card(page, upstream).getByRole('button',
	    { name: /^Change endpoint/ }).first().click();
	await page.getByLabel('Weight').fill('5000');
	await page.getByRole('button', { name: 'Let it be up' }).click();
	await says(page, 'expected 1 to 1000');
	await page.getByRole('button', { name: 'Cancel' }).click();
}

async function pausing(page) {
	await card(page, upstream).getByRole('button', { name: 'Pause…' })
	    .click();
	await shot(page, 'pause');
	await page.getByRole('button', { name: 'Pause', exact: true }).click();
	await says(page, 'is paused by hand');
	await card(page, upstream).getByRole('button', { name: 'Resume…' })
	    .click();
	await page.getByRole('button', { name: 'Resume', exact: true }).click();
	await until(page, 'the end of the pause', (id) => document
	    .getElementById(id).innerText.includes('Pause…'), upstream);
}

async function connections(page) {
	await card(page, upstream).getByRole('button',
	    { name: 'Connections…' }).click();
	await says(page, 'those longest in their state first');
	await until(page, 'a row', () =>
	    document.querySelectorAll('dialog tbody tr').length > 0);
	await shot(page, 'connections');
	await page.getByRole('button', { name: /^Kill connection/ }).first()
	    .click();
	await page.getByRole('button', { name: 'Kill it' }).click();
	await says(page, 'is closed');
	await until(page, 'the row to go', () =>
	    document.querySelectorAll('dialog tbody tr').length === 0);
	await page.keyboard.press('Escape');
	await page.locator('dialog').waitFor({ state: 'detached' });
}

// A server that answers, but with errors: where it is, and what share.
async function errors_of_a_server(page) {
	await load(12, '500');
	await says(page, 'of what it answered in the last minute are errors ' +
	    'of the server (500 12)');
	assert.equal(await figure(page, 'listener front', '5xx/min'), '12');
	assert.equal(await figure(page, upstream, 'errors/min'), '12');
	await says(page, 'errors of servers');
	// One that is opened now knows of it at once.
	const fresh = await open(page.context().browser());
	await until(fresh, 'a frame', () => last !== null);
	await says(fresh, 'errors of the server (500 12)');
	assert.equal(await figure(fresh, upstream, 'errors/min'), '12');
	await fresh.close();
	// What is graver comes before an upgrade that has failed; a few errors
	// and an upgrade of long ago are no trouble.
	const [first, of] = await page.evaluate(() => {
		const failed = ago => ({ last: 'failed', error: 'such',
			at: serverTime() - ago });
		const after = ago => {
			const found = [];

			ofUpgrade(failed(ago), found);
			return found.length;
		};
		return [troubles({ ...last, upgrade: failed(60) })[0].text,
			[after(60), after(7200), shareOf(4, 4), shareOf(5, 5)]];
	});
	assert.match(first, /errors of the server/);
	assert.deepEqual(of, [1, 0, 0, 1]);
}

// By cause, as weir why has them, each of them behind its sentence.
async function slow_ones(page) {
	await page.getByRole('button', { name: 'Show them' }).click();
	const cause = page.locator('details.cause').filter({
		hasText: '12 failed: server_error at ' + upstream });
	await cause.waitFor();
	assert.equal(await cause.locator('tbody tr').count(), 0);
	await cause.locator('summary').click();
	await cause.getByText('GET /500').first().waitFor();
	assert.equal(await cause.locator('tbody tr').count(), 12);
}

// A file with a mistake in it, whose text is hostile as well.
async function a_bad_file(page) {
	await page.getByRole('button', { name: 'Reload…' }).click();
	await until(page, 'the plan', () => !/Asking what/.test(
	    document.querySelector('dialog').innerText));
	const go = page.getByRole('button', { name: 'Reload', exact: true });
	// With a plan the mistakes are there before anything was tried.
	if (await go.isEnabled())
		await go.click();
	await says(page, given.hostile[1]);
	await shot(page, 'bad');
	await page.getByRole('button', { name: 'Cancel' }).click();
	await names_are_text(page, []);
	writeFileSync(given.file, given.good);
}

// The value of another moment, by mouse and by keyboard.
async function a_chart(page) {
	const chart = page.locator('svg.chart').first();

	// One moment of 30 s does not hide all others: as high for each ten.
	assert.deepEqual(await page.evaluate(() => {
		const axis = decades(100, 3e7);

		return [axis.marks, [100, 1e8, 0].map(axis.part),
			document.querySelectorAll('#charts .marks span').length > 1];
	}), [[100, 1e4, 1e6, 1e8], [0, 1, 0], true]);
	await chart.hover({ position: { x: 100, y: 20 } });
	await says(page, ' s ago');
	await page.mouse.move(0, 0);
	await chart.focus();
	for (let i = 0; i < 3; i++)
		await page.keyboard.press('ArrowLeft');
	await says(page, '15 s ago');
	await page.keyboard.press('End');
	await until(page, 'the present', () =>
	    !document.getElementById('charts').innerText.includes('s ago'));
}

// The file has changed meanwhile: what would come of it is shown first.
async function reloading(page) {
	const before = await page.evaluate(() => last.generation);

	await page.getByRole('button', { name: 'Compare with the file' })
	    .click();
	await says(page, 'pool.max 8 -> 6');
	await page.getByRole('button', { name: 'Reload…' }).click();
	const go = page.getByRole('button', { name: 'Reload', exact: true });
	await until(page, 'the plan', () => !/Asking what/.test(
	    document.querySelector('dialog').innerText));
	await shot(page, 'reload');
	await go.click();
	await until(page, 'the next configuration', (n) =>
	    last.generation > n, before);
	const confirm = page.getByRole('button', { name: 'Confirm' });
	await until(page, 'the notice, if it is to be confirmed', () =>
	    !last.reload.confirm_until ||
	    document.querySelector('#notices button'));
	if (await confirm.count()) {
		await shot(page, 'confirm');
		await confirm.click();
		await until(page, 'the end of the notice', () =>
		    !document.querySelector('#notices button'));
	}
}

async function small_and_dark(browser) {
	const phone = await open(browser, { colorScheme: 'dark', hasTouch: true,
		viewport: { width: 360, height: 740 } });

	await says(phone, '✓ ready');
	assert.equal(await phone.evaluate(() =>
	    document.documentElement.scrollWidth), 360, 'wider than a phone');
	const dark = await phone.evaluate(() =>
	    getComputedStyle(document.body).backgroundColor);
	await shot(phone, 'phone');
	await phone.emulateMedia({ colorScheme: 'light' });
	assert.notEqual(await phone.evaluate(() =>
	    getComputedStyle(document.body).backgroundColor), dark);
	await phone.close();
}

const cases = {
	async all(browser) {
		const page = await open(browser);

		for (const step of [it_lives, names_are_text, connections,
		    draining_by_keyboard, a_weight, what_is_refused, pausing,
		    errors_of_a_server, slow_ones, a_chart, a_bad_file, reloading])
			await step(page);
		await shot(page, 'light');
		await small_and_dark(browser);
		assert.deepEqual(errors, []);
		// What is old must look it.
		await page.evaluate(() => fetch('stop', { method: 'POST' }));
		await says(page, '✕ no connection');
		await says(page, 'the numbers are old');
		await shot(page, 'gone');
		errors.length = 0;      // of the requests that are tried again
	},

	async token(browser) {
		const page = await open(browser);

		await says(page, 'wants its token');
		await shot(page, 'token');
		for (const [token, then] of [['wrong', 'That was not it'],
		    [given.token, 'All is well']]) {
			await page.getByRole('textbox', { name: 'Token' }).fill(token);
			await page.keyboard.press('Enter');
			await says(page, then);
		}
		await says(page, '✓ ready');
		// With the token, orders too.
		await pausing(page);
		await page.reload();
		await says(page, '✓ ready');
	},

	// For tests/bench/dashboard.py: how smooth is it?
	async watch(browser) {
		const page = await open(browser);

		await says(page, '✓ ready');
		console.log('open');
		const frames = await page.evaluate((ms) => new Promise((done) => {
			const deltas = [], begin = performance.now();
			let before = begin;
			const next = (now) => {
				deltas.push(now - before);
				before = now;
				if (now - begin < ms)
					requestAnimationFrame(next);
				else
					done(deltas.slice(2));
			};
			requestAnimationFrame(next);
		}), given.seconds * 1000);
		console.log(JSON.stringify({ frames: frames.length,
			longest_ms: Math.round(Math.max(...frames)),
			over_50_ms: frames.filter((f) => f > 50).length }));
	},

	async h2(browser) {
		const page = await open(browser);

		assert.equal(await page.evaluate(() => performance
		    .getEntriesByType('navigation')[0].nextHopProtocol), 'h2');
		await says(page, '✓ ready');
		const before = await page.evaluate(() => last.uptime_s);
		await until(page, 'the third frame', (s) => last.uptime_s > s + 1.5,
		    before);
		await pausing(page);
	}
};

const browser = await chromium.launch({ executablePath: given.chromium,
	args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu',
	    '--ignore-certificate-errors',
	    '--host-resolver-rules=MAP dash.test 127.0.0.1'] });
try {
	await cases[name](browser);
	assert.deepEqual(errors, [], 'errors on the console');
	assert.deepEqual(elsewhere, [], 'requests to elsewhere');
} finally {
	await browser.close();
}
