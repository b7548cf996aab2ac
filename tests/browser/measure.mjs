/* measure: how fast the page is, for make bench: a line `NAME VALUE UNIT` each. */
import {Ledger, launch, tenThousandCalls} from "./harness.mjs";

const runs = Number(process.argv[2] ?? 5);
const ledger = new Ledger();
const browser = await launch();

function middle(values, share = 0.5) {
	return [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
}

function tell(name, value, unit) {
	console.log(`${name}\t${value}\t${unit}`);
}

/* From the begin of the navigation until `ready` holds and what it shows is painted. */
async function opening(url, ready, argument) {
	const context = await browser.newContext({viewport: {width: 1280, height: 860}});
	const page = await context.newPage();
	await page.goto(url, {waitUntil: "commit"});
	await page.waitForFunction(ready, argument, {timeout: 60000, polling: "raf"});
	const ms = await page.evaluate(() => new Promise(resolve => requestAnimationFrame(() => resolve(performance.now()))));
	await context.close();
	return ms;
}

try {
	ledger.batch(Array.from({length: 1000}, (_, i) => ["/operation/create", {participantId: "p" + i % 7, description: "job " + i}]));
	await ledger.serve();
	tell("page", Buffer.byteLength(await (await fetch(ledger.url + "/")).text()), "bytes");
	for (const [name, least] of [["1,000 operations: the first screen and how many there are", 100], ["1,000 operations: all of them", 1000]]) {
		const lists = [];
		for (let i = 0; i < runs; i++)
			lists.push(await opening(ledger.url + "/", n => /1000/.test(document.querySelector("h2")?.textContent) && document.querySelectorAll(".op").length >= n, least));
		tell(name + ", p50", middle(lists).toFixed(0), "ms");
		tell(name + ", most", Math.max(...lists).toFixed(0), "ms");
	}

	/* A change: from the return of the command to the picture in which it is seen. */
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", "watched"]);
	const page = await (await browser.newContext({viewport: {width: 1280, height: 1800}})).newPage();
	for (const [name, path, change, seen] of [
		["a call on the timeline", "/#/" + op, i => ledger.run("dpl-call", ["start", "-o", op, "-p", "boss", "-d", `change ${i} made`]), "#panel"],
		["an operation in the list of 1,000", "/", i => ledger.run("dpl-create", ["-p", "boss", "-d", `change ${i} made`]), "#main"],
	]) {
		await page.goto(ledger.url + path);
		await page.waitForFunction(() => document.querySelector("#line")?.textContent === "live");
		await page.evaluate(where => {
			window.seen = {};
			const look = () => {
				for (const [, i] of document.querySelector(where).textContent.matchAll(/change (\d+) made/g))
					window.seen[i] ??= Date.now();
				requestAnimationFrame(look);
			};
			look();
		}, seen);
		const delays = [];
		for (let i = 0; i < runs * 6; i++) {
			change(i);
			const returned = Date.now();
			await page.waitForFunction(n => window.seen[n], i, {polling: 20});
			delays.push(Math.max(0, await page.evaluate(n => window.seen[n], i) - returned));
			await new Promise(resolve => setTimeout(resolve, 300));
		}
		tell(`${name}, p50`, middle(delays).toFixed(0), "ms");
		tell(`${name}, p95`, middle(delays, 0.95).toFixed(0), "ms");
	}
	const large = tenThousandCalls(ledger), opens = [];
	for (let i = 0; i < runs; i++)
		opens.push(await opening(`${ledger.url}/#/${large}`, () => /\b10000$/.test(document.querySelector("#tab-timeline")?.textContent ?? "")));
	tell("an operation of 10,000 calls, all read, p50", middle(opens).toFixed(0), "ms");
} finally {
	await browser.close();
	await ledger.end();
}
