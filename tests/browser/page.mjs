/* page: what a person does with the page of dpl-serve, in a real browser, while the real commands are at work. */
import assert from "node:assert/strict";
import {createServer} from "node:http";
import {appendFileSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {after, before, test} from "node:test";
import {Ledger, launch, tenThousandCalls} from "./harness.mjs";

const PATIENCE = 15000;
let browser;
before(async () => {
	browser = await launch();
});
after(() => browser.close());

/* A test with a ledger that is served, and a page; what the page throws, or its policy refuses, fails the test. */
function scene(name, options, work) {
	test(name, async () => {
		const ledger = new Ledger();
		const context = await browser.newContext({viewport: {width: options.width ?? 1280, height: 860}, colorScheme: options.scheme ?? "light"});
		const complaints = [];
		try {
			ledger.run("dpl-create", ["-p", "first", "-d", "the first of all"]);
			if (options.token) {
				writeFileSync(join(ledger.folder, "token"), options.token + "\n", {mode: 0o600});
				await ledger.serve(["--token-file", join(ledger.folder, "token")]);
			} else {
				await ledger.serve(options.serve);
			}
			const page = await context.newPage();
			page.setDefaultTimeout(PATIENCE);
			page.on("pageerror", e => complaints.push(e.message));
			page.on("console", m => m.type() === "error" && !(options.noise && options.noise.test(m.text())) && complaints.push(m.text()));
			page.on("request", r => !r.url().startsWith(ledger.url) && !r.url().startsWith("data:") && complaints.push("asked for " + r.url()));
			await work({ledger, page, context, at: (...path) => ledger.url + "/#/" + path.map(encodeURIComponent).join("/")});
			assert.deepEqual(complaints, []);
		} finally {
			await context.close();
			await ledger.end();
		}
	});
}

const row = (page, text) => page.locator(".op", {hasText: text});
const call = (page, text) => page.locator(".call.row", {hasText: text});

/* Wait until there are so many. */
async function many(locator, n) {
	const end = Date.now() + PATIENCE;
	while (await locator.count() !== n) {
		if (Date.now() > end)
			assert.equal(await locator.count(), n);
		await new Promise(resolve => setTimeout(resolve, 20));
	}
}

async function says(locator, pattern) {
	const end = Date.now() + PATIENCE;
	for (;;) {
		const text = await locator.textContent();
		if (pattern.test(text))
			return;
		if (Date.now() > end)
			assert.match(text, pattern);
		await new Promise(resolve => setTimeout(resolve, 20));
	}
}

scene("lists what is live and what is past, and what comes and goes", {}, async ({ledger, page, at}) => {
	const done = ledger.run("dpl-create", ["-p", "old", "-d", "an old one"]);
	ledger.run("dpl-complete", ["-p", "old", "-o", done]);
	await page.goto(at());
	await says(row(page, "the first of all"), /running.*1 of 1 participant.*0 calls/);
	await says(row(page, "an old one"), /completed/);
	assert.deepEqual(await page.locator("h2").allTextContents(), ["Live 1", "Past 1"]);
	const op = ledger.run("dpl-create", ["-p", "me", "-d", "a new one"]);
	await row(page, "a new one").waitFor();
	assert.match(await page.locator(".op").first().textContent(), /a new one/);
	ledger.run("dpl-call", ["start", "-o", op, "-p", "me"]);
	await says(row(page, "a new one"), /1 of 1 running/);
	ledger.run("dpl-abort", ["-o", op, "-p", "me"]);
	await says(row(page, "a new one"), /aborted/);
	ledger.run("dpl-complete", ["--cancel", "-o", op, "-p", "me"]);
	await says(row(page, "a new one"), /completed, aborted/);
	await says(page.locator("h2").nth(1), /Past 2/);
});

scene("finds by description, id, name and state; opens and goes back by keys alone", {}, async ({ledger, page, at}) => {
	for (const [who, what] of [["anna", "build the tree"], ["bert", "test the tree"], ["carl", "ship it"]])
		ledger.run("dpl-create", ["-p", who, "-d", what]);
	await page.goto(at());
	await many(page.locator(".op"), 4);
	await page.keyboard.press("/");
	await page.keyboard.type("TREE bert");
	await many(page.locator(".op"), 1);
	await page.keyboard.press("Escape");
	await page.keyboard.press("j");
	await page.keyboard.press("Enter");
	await page.locator("h1", {hasText: "test the tree"}).waitFor();
	assert.match(await page.title(), /^test the tree — running — dpl$/);
	await page.keyboard.press("3");
	await page.locator("#tab-resources[aria-selected=true]").waitFor();
	await page.keyboard.press("l");
	await page.locator("#tab-trail[aria-selected=true]").waitFor();
	await page.keyboard.press("u");
	await many(page.locator(".op"), 4);
	await page.keyboard.press("?");
	await page.locator("dialog", {hasText: "Keys"}).waitFor();
	await page.keyboard.press("Escape");
	await many(page.locator("dialog"), 0);
	await page.locator("#filter").fill("no such thing");
	await page.locator(".empty", {hasText: "Nothing matches"}).waitFor();
});

scene("follows an operation while commands work on it", {}, async ({ledger, page, at}) => {
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", "a day's work"]);
	const on = ["-o", op];
	await page.goto(at(op));
	await says(page.locator(".person"), /boss.*alive/);
	ledger.run("dpl-join", [...on, "-p", "worker"]);
	await page.locator(".person", {hasText: "worker"}).waitFor();
	const outer = ledger.run("dpl-call", ["start", ...on, "-p", "boss", "-d", "all of it"]);
	await call(page, "all of it").and(page.locator(".running")).waitFor();
	const inner = ledger.run("dpl-call", ["start", ...on, "-p", "worker", "--parent", outer, "-d", "a part"]);
	const part = call(page, "a part");
	await part.and(page.locator(".running")).waitFor();
	const indent = l => l.locator(".name").evaluate(e => parseFloat(e.style.paddingLeft));
	assert.ok(await indent(part) > await indent(call(page, "all of it")));
	ledger.run("dpl-beat", [...on, "-p", "worker", "--call", inner, "--progress", "3/4"]);
	ledger.run("dpl-call", ["fail", ...on, "-p", "worker", inner, "-m", "it broke"]);
	await call(page, "a part").and(page.locator(".failed")).waitFor();
	ledger.run("dpl-call", ["end", ...on, "-p", "boss", outer, "--result", "half"]);
	await call(page, "all of it").and(page.locator(".ended")).waitFor();
	/* A bar is where its time is: the part begins behind the whole, and is shorter. */
	const [whole, piece] = await Promise.all(["all of it", "a part"].map(t => call(page, t).locator(".bar").boundingBox()));
	assert.ok(piece.x >= whole.x && piece.x + piece.width <= whole.x + whole.width + 1);
	await call(page, "a part").click();
	await says(page.locator("dialog"), /it broke/);
	await page.keyboard.press("Escape");
	ledger.run("dpl-log", [...on, "-p", "worker", "--level", "warning", "mind the gap"]);
	await page.locator("#tab-log").click();
	await page.locator(".entry.warning", {hasText: "mind the gap"}).waitFor();
	writeFileSync(join(ledger.folder, "scratch"), "x");
	ledger.run("dpl-temp", ["add", ...on, "-p", "worker", join(ledger.folder, "scratch")]);
	await page.locator("#tab-resources").click();
	await says(page.locator(".resource"), /path.*scratch.*worker.*registered/);
	ledger.run("dpl-leave", [...on, "-p", "worker"]);
	await says(page.locator(".resource"), /removed/);
	await says(page.locator(".person", {hasText: "worker"}), /left/);
	await page.locator("#tab-trail").click();
	await page.locator(".entry", {hasText: "left, session 2"}).waitFor();
	for (let i = 0; i < 3; i++)
		ledger.run("dpl-temp", ["make", ...on, "-p", "boss"]);
	ledger.run("dpl-complete", [...on, "-p", "boss", "-m", "good enough"]);
	await says(page.locator("#state"), /completed/);
	await says(page.locator("#line"), /past/);
	await page.locator("#tab-resources").click();
	await many(page.locator(".resource.removed"), 4);
	await many(page.locator("#abort"), 0);
});

scene("aborts with a reason and a name: what runs is stopped", {noise: /400/}, async ({ledger, page, at}) => {
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", "to be stopped"]);
	const runs = ledger.start("dpl-call", ["-o", op, "-p", "boss", "-d", "long", "--", "sleep", "600"]);
	await page.goto(at(op));
	await call(page, "long").and(page.locator(".running")).waitFor();
	await page.keyboard.press("a");
	await page.locator("dialog").waitFor();
	await page.keyboard.type("the wrong branch");
	await page.getByLabel("Your name").fill("operator");
	await page.keyboard.press("Enter");
	await says(page.locator(".banner"), /Aborted by operator at .*: the wrong branch/);
	assert.equal((await runs.over).status, 122);
	await call(page, "long").and(page.locator(".cancelled")).waitFor();
	assert.match(ledger.run("dpl-show", ["--trail", op]), /operator +aborted the operation: the wrong branch/);
	await many(page.locator("#abort"), 0);
	/* One that cannot be is said to be so, and the dialogue stays. */
	const other = ledger.run("dpl-create", ["-p", "boss"]);
	await page.goto(at(other));
	await page.locator("#abort").click();
	await page.getByLabel("Your name").fill("-x");
	await page.locator("dialog button", {hasText: "Abort"}).click();
	await says(page.locator("dialog .wrong"), /participant/);
	await page.goBack();
	await many(page.locator("dialog"), 0);
});

scene("asks for the token where one is needed, and for a better one", {token: "0123456789abcdef-right", noise: /401/}, async ({ledger, page, at}) => {
	await page.goto(at());
	const input = page.locator("dialog input");
	await input.fill("0123456789abcdef\u2013right");
	await page.keyboard.press("Enter");
	await says(page.locator("dialog .wrong"), /visible characters/);
	await input.fill("0123456789abcdef-wrong");
	await page.keyboard.press("Enter");
	await page.locator("dialog", {hasText: "not the right one"}).waitFor();
	await input.fill("0123456789abcdef-right");
	await page.keyboard.press("Enter");
	await row(page, "the first of all").click();
	await says(page.locator("#line"), /live/);
	await page.locator("#abort").click();
	await page.getByLabel("Reason").fill("by token");
	await page.keyboard.press("Enter");
	await says(page.locator(".banner"), /by token/);
	assert.match(ledger.run("dpl-show", ["--trail", "@@"]), /web +aborted the operation: by token/);
	/* It stays in this tab, and is nowhere else. */
	assert.deepEqual(await page.evaluate(() => [Object.values(localStorage).some(v => v.includes("right")), document.cookie]), [false, ""]);
	assert.ok(!(await page.content()).includes("abcdef-right"));
	await page.reload();
	await says(page.locator(".banner"), /by token/);
});

scene("survives the death of the server, with what happened meanwhile", {noise: /ERR_|Failed to load|fetch/}, async ({ledger, page, context, at}) => {
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", "goes on"]);
	const list = await context.newPage();
	await list.goto(at());
	await row(list, "goes on").waitFor();
	await page.goto(at(op, "log"));
	ledger.run("dpl-log", ["-o", op, "-p", "boss", "before"]);
	await page.locator(".entry", {hasText: "before"}).waitFor();
	await ledger.kill();
	await says(page.locator("#line"), /trying again/);
	await says(list.locator("#line"), /trying again/);
	ledger.run("dpl-log", ["-o", op, "-p", "boss", "meanwhile"]);
	ledger.run("dpl-create", ["-p", "boss", "-d", "came meanwhile"]);
	ledger.run("dpl-complete", ["-p", "first", "-o", "@"]);
	await ledger.serve();
	await page.locator(".entry", {hasText: "meanwhile"}).waitFor();
	await row(list, "came meanwhile").waitFor();
	await says(row(list, "the first of all"), /completed/);
	ledger.run("dpl-log", ["-o", op, "-p", "boss", "behind"]);
	await page.locator(".entry", {hasText: "behind"}).waitFor();
	await says(page.locator("#line"), /^live$/);
	assert.deepEqual(await page.locator(".entry .text").allTextContents(), ["before", "meanwhile", "behind"]);
});

scene("text from the ledger is never markup", {noise: /400/}, async ({ledger, page, at}) => {
	const evil = "<img src=x onerror=\"window.hit=1\"><script>window.hit=1</script>'\"&amp;</script>";
	const turned = "a\u202egnp.exe\u0007\u001b[31m\u200b\u2028\u2029";
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", evil]);
	const on = ["-o", op, "-p", "boss"];
	ledger.run("dpl-call", ["start", ...on, "-d", evil]);
	ledger.run("dpl-call", ["start", ...on, "-d", turned]);
	ledger.run("dpl-log", [...on, evil]);
	ledger.run("dpl-log", [...on, "javascript:window.hit=1"]);
	ledger.run("dpl-temp", ["add", ...on, "--command", evil]);
	ledger.run("dpl-abort", [...on, "-m", evil]);
	await page.goto(at());
	await row(page, "<img src=x").waitFor();
	await row(page, "<img src=x").click();
	await page.locator("h1", {hasText: evil}).waitFor();
	await page.locator(".banner", {hasText: evil}).waitFor();
	await call(page, evil).waitFor();
	await call(page, "a\\u202egnp.exe\\x07\\x1b[31m\\u200b\\u2028\\u2029").waitFor();
	await call(page, evil).click();
	await page.locator("dialog h2", {hasText: evil}).waitFor();
	await page.keyboard.press("Escape");
	for (const tab of ["log", "resources", "trail", "why"]) {
		await page.locator("#tab-" + tab).click();
		await page.locator("#panel", {hasText: evil}).waitFor();
	}
	assert.deepEqual(await page.evaluate(() => [window.hit, document.images.length, document.querySelectorAll("main script").length]), [undefined, 0, 0]);
	/* What stands behind # is no markup, either. */
	await page.goto(at("<img src=x onerror=window.hit=1>"));
	await says(page.locator(".empty"), /operation/);
	assert.equal(await page.evaluate(() => window.hit), undefined);
});

scene("a strict policy; whole in one answer of at most 60 KB; nobody may frame it", {noise: /Content Security Policy|Content-Security-Policy|Trusted|Refused|violates/}, async ({ledger, page, at}) => {
	const answer = await fetch(ledger.url + "/");
	const policy = answer.headers.get("content-security-policy"), text = await answer.text();
	assert.equal(answer.status, 200);
	assert.match(policy, /default-src 'none'.*connect-src 'self'.*frame-ancestors 'none'/);
	assert.doesNotMatch(policy, /unsafe|\*|https?:/);
	assert.ok(Buffer.byteLength(text) <= 60000, `${Buffer.byteLength(text)} bytes`);
	assert.doesNotMatch(text, /\bsrc=|@import|url\(|https?:\/\/(?!www\.w3\.org)/);
	await page.goto(at());
	await row(page, "the first of all").waitFor();
	const refused = await page.evaluate(async () => {
		const said = [];
		const script = document.createElement("script");
		try {
			script.textContent = "window.hit = 1";
			document.head.append(script);
		} catch (e) {
			said.push("script");
		}
		/* What stands in a text is compiled behind the end of this function, to which no policy applies. */
		try {
			setTimeout("window.hit = 1", 0);
		} catch (e) {
			said.push("timer");
		}
		try {
			document.body.innerHTML += "<b>x</b>";
		} catch (e) {
			said.push("markup");
		}
		await new Promise(resolve => setTimeout(resolve, 200));
		return [said, window.hit];
	});
	assert.deepEqual(refused, [["script", "timer", "markup"], undefined]);
});

test("a page of another origin can neither read, change nor frame it", async () => {
	const ledger = new Ledger();
	const other = createServer((request, answer) => answer.setHeader("Content-Type", "text/html").end("<p>other</p>"));
	const context = await browser.newContext();
	try {
		const op = ledger.run("dpl-create", ["-p", "boss", "-d", "private"]);
		await ledger.serve();
		await new Promise(resolve => other.listen(0, "127.0.0.1", resolve));
		const page = await context.newPage();
		await page.goto(`http://127.0.0.1:${other.address().port}/`);
		const got = await page.evaluate(async ([url, id]) => {
			const tries = [
				["/operation/list", {}],
				["/operation/list", {mode: "no-cors"}],
				["/operation/abort", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({operationId: id})}],
				["/operation/abort", {method: "POST", mode: "no-cors", headers: {"Content-Type": "text/plain"}, body: JSON.stringify({operationId: id})}],
			];
			const said = [];
			for (const [path, options] of tries)
				said.push(await fetch(url + path, options).then(r => r.text(), () => "refused"));
			const frame = document.createElement("iframe");
			frame.src = url + "/";
			document.body.append(frame);
			await new Promise(resolve => { frame.onload = resolve; setTimeout(resolve, 3000); });
			let inside = "hidden";
			try {
				inside = frame.contentDocument?.body.textContent ?? "hidden";
			} catch {
				/* hidden */
			}
			return [said, inside];
		}, [ledger.url, op]);
		assert.deepEqual(got, [["refused", "", "refused", ""], "hidden"]);
		assert.doesNotMatch(ledger.run("dpl-show", ["--trail", op]), /aborted/);
		assert.equal(page.frames().filter(f => f.url().startsWith(ledger.url)).length, 0);
		/* But a link may lead to it. */
		await page.evaluate(url => { location = url + "/"; }, ledger.url);
		await row(page, "private").waitFor();
	} finally {
		await context.close();
		other.close();
		await ledger.end();
	}
});

for (const scheme of ["light", "dark"])
	scene(`400 pixels wide, ${scheme}: all is there, and what is read can be read`, {width: 400, scheme}, async ({ledger, page, at}) => {
		const op = ledger.run("dpl-create", ["-p", "a-participant-with-a-long-name-of-many-letters", "-d", "a description that is longer than any telephone is wide, and goes on"]);
		const on = ["-o", op, "-p", "a-participant-with-a-long-name-of-many-letters"];
		ledger.run("dpl-call", ["start", ...on, "-d", "a call with a long description, too, that has to be cut somewhere"]);
		ledger.run("dpl-log", [...on, "w".repeat(300)]);
		ledger.run("dpl-temp", ["add", ...on, "--command", "rm " + "y".repeat(300)]);
		ledger.run("dpl-abort", [...on, "-m", "z".repeat(300)]);
		await page.goto(at());
		await many(page.locator(".op"), 2);
		const wide = () => page.evaluate(() => document.documentElement.scrollWidth);
		assert.equal(await wide(), 400);
		for (const tab of ["timeline", "log", "resources", "trail", "why"]) {
			await page.goto(at(op, tab));
			await page.locator(`#tab-${tab}[aria-selected=true]`).waitFor();
			await page.locator("#panel .row, #panel .verdict").first().waitFor();
			assert.equal(await wide(), 400, tab);
		}
		/* WCAG: 4.5 to 1 for text. */
		const contrasts = await page.evaluate(() => {
			const light = colour => {
				const [r, g, b] = colour.match(/[\d.]+/g).map(x => x / 255).map(x => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
				return 0.2126 * r + 0.7152 * g + 0.0722 * b;
			};
			const behind = e => {
				for (; e; e = e.parentElement) {
					const colour = getComputedStyle(e).backgroundColor;
					if (!/, 0\)|transparent/.test(colour))
						return colour;
				}
				return "rgb(255, 255, 255)";
			};
			const states = ["running", "ended", "failed", "crashed", "aborted"].flatMap(state => ["--back", "--card", "--hover"].map(ground => {
				const e = document.createElement("span");
				e.className = "badge " + state;
				e.style.backgroundColor = `var(${ground})`;
				document.querySelector("main").append(e);
				const [x, y] = [light(getComputedStyle(e).color), light(getComputedStyle(e).backgroundColor)].sort((v, w) => w - v);
				e.remove();
				return [state + " on " + ground, (x + 0.05) / (y + 0.05)];
			}));
			return states.concat(["h1", ".sub", ".badge", ".banner", ".person b", ".person small", ".tabs a", ".verdict", "h3", ".where", ".line"].map(s => {
				const e = document.querySelector(s), [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
				return [s, (a + 0.05) / (b + 0.05)];
			}));
		});
		assert.deepEqual(contrasts.filter(([, c]) => c < 4.5), []);
	});

scene("1,000 operations and 10,000 calls: only what is seen is drawn", {}, async ({ledger, page, at}) => {
	const op = tenThousandCalls(ledger);
	ledger.batch(Array.from({length: 999}, (_, i) => ["/operation/create", {participantId: "p" + i % 7, description: "job-" + i}]));
	await page.goto(at());
	await says(page.locator("h2").first(), /Live 1001/);
	await page.locator("#filter").fill("job-77");
	await many(page.locator(".op"), 11);
	await page.goto(at(op));
	await says(page.locator("#tab-timeline"), /10000/);
	await says(page.locator("#tab-trail"), /20006/);
	assert.ok(await page.locator(".call.row").count() < 100);
	await page.locator(".rows").focus();
	await page.keyboard.press("End");
	await call(page, "part 9 of 999").waitFor();
	await page.keyboard.press("Home");
	await call(page, "part 0 of 0").waitFor();
	/* Folded away, its nine are not there. */
	await page.keyboard.press("ArrowLeft");
	await says(call(page, "part 0 of 0"), /9 below|2 below/);
	await many(page.locator(".call.row", {hasText: /part . of 0\D/}), 1);
	/* Closer to the beginning, what comes later has no bar. */
	for (let i = 0; i < 6; i++)
		await page.keyboard.press("+");
	await page.keyboard.press("<");
	await page.keyboard.press("End");
	await many(call(page, "part 9 of 999").locator(".bar"), 0);
	await page.keyboard.press("0");
	await many(call(page, "part 9 of 999").locator(".bar"), 1);
	await page.locator("#tab-trail").click();
	await page.locator(".rows").focus();
	await page.keyboard.press("End");
	await page.locator(".entry", {hasText: /^.*ended call_w_999_0/}).waitFor();
	assert.ok(await page.locator(".entry").count() < 100);
});

scene("a death: who, by what evidence, what was removed, and why, also when it is past", {}, async ({ledger, page, at}) => {
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", "ends badly"]);
	await page.goto(at(op));
	writeFileSync(join(ledger.folder, "scratch"), "x");
	const dies = ledger.start("dpl-call", ["-o", op, "-p", "boss", "-d", "will die", "--", "sh", "-c", "dpl-temp add \"$PWD/scratch\" && exec sleep 600"]);
	await says(page.locator("#tab-resources"), /1/);
	dies.kill("SIGKILL");
	await dies.over;
	ledger.run("dpl-cleanup", ["-o", op]);
	await says(page.locator("#state"), /failed/);
	await page.locator(".banner.crashed", {hasText: "lock has fallen"}).waitFor();
	await call(page, "will die").and(page.locator(".crashed")).waitFor();
	assert.ok(await call(page, "will die").locator(".mark.crash").count() >= 1);
	await page.locator("#tab-why").click();
	await says(page.locator(".verdict"), /^call_boss_1_.* of boss \(will die\) died: its supervisor's lock has fallen/);
	await page.locator(".why", {hasText: "1 removed"}).waitFor();
	await page.reload();
	await says(page.locator(".verdict"), /died/);
	await page.goto(at());
	await says(page.locator("h2").nth(1), /Past 1/);
	await says(row(page, "ends badly"), /failed/);
});

scene("a page that nobody looks at gives its connection back; seen again, it has what came meanwhile", {}, async ({ledger, page, at}) => {
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", "watched now and then"]);
	const look = seen => page.evaluate(s => {
		Object.defineProperty(document, "hidden", {configurable: true, get: () => !s});
		document.dispatchEvent(new Event("visibilitychange"));
	}, seen);
	await page.goto(at(op, "log"));
	await says(page.locator("#line"), /^live$/);
	await look(false);
	await says(page.locator("#line"), /paused/);
	ledger.run("dpl-log", ["-o", op, "-p", "boss", "unseen"]);
	await new Promise(resolve => setTimeout(resolve, 500));
	assert.equal(await page.locator(".entry").count(), 0);
	await look(true);
	await page.locator(".entry", {hasText: "unseen"}).waitFor();
	await says(page.locator("#line"), /^live$/);
});

scene("one that becomes unreadable, and those that are pruned, while the list is open", {noise: /50\d|404/}, async ({ledger, page, at}) => {
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", "will be damaged"]);
	await page.goto(at());
	await row(page, "will be damaged").waitFor();
	appendFileSync(join(ledger.path, op, "journal.jsonl"), "no entry\n");
	await says(row(page, op), /unreadable/);
	const old = ledger.batch(Array.from({length: 23}, (_, i) => ["/operation/create", {participantId: "p", description: "old " + i}]));
	ledger.batch(old.map(o => ["/operation/complete", {operationId: o.operationId, participantId: "p"}]));
	await says(page.locator("h2").nth(1), /^Past 20$/);
	await says(page.locator("#line"), /^live$/);
});

scene("an operation that cannot be read is shown as such, and hides no other", {noise: /50\d|Failed/}, async ({ledger, page, at}) => {
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", "will be damaged"]);
	writeFileSync(join(ledger.path, op, "journal.jsonl"), "no journal at all\n");
	rmSync(join(ledger.path, op, "checkpoint"), {force: true});
	await page.goto(at());
	await says(row(page, op), /unreadable/);
	await row(page, "the first of all").waitFor();
	await row(page, op).click();
	await says(page.locator("#line"), /trying again/);
	await page.keyboard.press("u");
	await row(page, "the first of all").waitFor();
});

scene("what is pointed at stays what it is while things happen", {}, async ({ledger, page, at}) => {
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", "busy"]);
	ledger.run("dpl-call", ["start", "-o", op, "-p", "boss", "-d", "pointed at"]);
	ledger.run("dpl-log", ["-o", op, "-p", "boss", "pointed at"]);
	ledger.start("sh", ["-c", `while :; do dpl-log -o ${op} -p boss "and on"; sleep 0.05; done`]);
	await page.goto(at(op));
	const opens = async (locator, check) => {
		for (let i = 0; i < 4; i++) {
			await locator.hover();
			await page.mouse.down();
			await new Promise(resolve => setTimeout(resolve, 700));
			await page.mouse.up();
			await check();
		}
	};
	const dialogue = async () => {
		await page.locator("dialog").waitFor();
		await page.keyboard.press("Escape");
		await many(page.locator("dialog"), 0);
	};
	await opens(call(page, "pointed at"), dialogue);
	await page.locator("#tab-log").click();
	await page.locator(".rows").focus();
	await page.keyboard.press("Home");
	await opens(page.locator(".entry", {hasText: "pointed at"}), dialogue);
	await page.goto(at());
	await opens(row(page, "busy"), async () => {
		await page.locator("h1", {hasText: "busy"}).waitFor();
		await page.goBack();
		await row(page, "busy").waitFor();
	});
});

scene("the keyboard keeps its place: the skip link, rows that move, tabs", {}, async ({ledger, page, at}) => {
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", "will end"]);
	const here = () => page.evaluate(() => document.activeElement.textContent);
	await page.goto(at());
	await row(page, "will end").focus();
	ledger.run("dpl-complete", ["-o", op, "-p", "boss"]);
	await says(page.locator("h2").nth(1), /Past 1/);
	assert.match(await here(), /will end/);
	await page.keyboard.press("Enter");
	await page.locator("h1", {hasText: "will end"}).waitFor();
	assert.equal(await page.evaluate(() => document.activeElement.id), "main");
	await page.locator(".skip").focus();
	await page.keyboard.press("Enter");
	assert.equal(await page.evaluate(() => document.activeElement.id), "main");
	await page.locator("h1", {hasText: "will end"}).waitFor();
	await page.locator("#tab-timeline").focus();
	await page.keyboard.press("ArrowRight");
	await page.locator("#tab-log[aria-selected=true]").waitFor();
	assert.match(await here(), /^log/);
	assert.equal(await page.locator("[role=tab][tabindex='0']").count(), 1);
});

scene("a participant that died, a fallback that was run, and a clock that was set back", {}, async ({ledger, page, at}) => {
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", "much goes wrong"]);
	const sleeps = ledger.start("sleep", ["600"]);
	ledger.run("dpl-join", ["-o", op, "-p", "mortal", `--keep=${sleeps.pid}`]);
	await page.goto(at(op));
	await says(page.locator(".person", {hasText: "mortal"}), /alive/);
	const dies = ledger.start("dpl-call", ["-o", op, "-p", "boss", "-d", "contained", "--fallback-command", "echo plan B", "--", "sleep", "600"]);
	await call(page, "contained").waitFor();
	dies.kill("SIGKILL");
	await dies.over;
	ledger.run("dpl-cleanup", [op]);
	await call(page, "contained").and(page.locator(".crashed")).waitFor();
	await says(page.locator("#tab-trail"), /\d/);
	await page.locator(".rows").focus();
	await call(page, "contained").click();
	await says(page.locator("dialog"), /plan B/);
	assert.doesNotMatch(await page.locator("dialog").textContent(), /fallbackPending/);
	await page.keyboard.press("Escape");
	sleeps.kill("SIGKILL");
	await sleeps.over;
	ledger.run("dpl-cleanup", [op]);
	await says(page.locator(".person", {hasText: "mortal"}), /dead/);
	/* As another machine would have written it, whose clock is an hour behind. */
	const back = ledger.run("dpl-create", ["-p", "boss", "-d", "back"]);
	const journal = join(ledger.path, back, "journal.jsonl"), first = JSON.parse(readFileSync(journal, "utf8"));
	const early = new Date(Date.parse(first.at) - 3600e3).toISOString();
	appendFileSync(journal, JSON.stringify({seq: 2, at: early, by: "boss", event: "call.started", callId: "early", sessionId: 1}) + "\n" +
		JSON.stringify({seq: 3, at: first.at, by: "boss", event: "call.started", callId: "late", sessionId: 1}) + "\n" +
		JSON.stringify({seq: 4, at: early, by: "boss", event: "call.ended", callId: "late", durationMs: 1200}) + "\n");
	await page.goto(at(back));
	await many(page.locator(".call.row .bar"), 2);
	await says(call(page, "late").locator(".long"), /1\.2 s/);
});

scene("what is not there is said to be so", {noise: /404/}, async ({page, at}) => {
	await page.goto(at("20200101T000000.000Z-nobody-00000000"));
	await says(page.locator("main"), /There is no operation 20200101T000000.000Z-nobody-00000000.*All operations/);
	await page.locator("main a").click();
	await row(page, "the first of all").waitFor();
});

scene("colours as the system has them, or as one likes", {scheme: "dark"}, async ({page, at}) => {
	const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
	await page.goto(at());
	const dark = await back();
	await page.locator("#theme").click();
	const light = await back();
	assert.notEqual(dark, light);
	await page.reload();
	assert.equal(await back(), light);
	await page.locator("#theme").click();
	assert.equal(await back(), dark);
});
