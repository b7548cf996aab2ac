/* harness: a ledger, its server, and a browser, for tests, pictures and measurements. */
import {spawn, spawnSync} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {createRequire} from "node:module";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {createInterface} from "node:readline";

const bin = join(process.env.BUILD, "bin");
const {chromium} = createRequire(join(process.env.BUILD, "browser", "package.json"))("playwright-core");

/* A ledger in a folder of its own. */
export class Ledger {
	constructor() {
		this.folder = mkdtempSync(join(tmpdir(), "dpl-page-"));
		this.path = join(this.folder, "ledger");
		this.env = {PATH: `${bin}:${process.env.PATH}`, HOME: this.folder, DPL_LEDGER: this.path, DPL_SYNC: "off", LC_ALL: "C.UTF-8"};
		this.children = [];
	}

	/* Run a command: its output, without the newline.  It must exit with 0, or with `status`. */
	run(command, args = [], {status = 0, input} = {}) {
		const r = spawnSync(command, args, {env: this.env, cwd: this.folder, input, encoding: "utf8", maxBuffer: 1 << 28});
		if (r.status !== status)
			throw new Error(`${command} ${args.join(" ")}: exit ${r.status}: ${r.stdout}${r.stderr}`);
		return r.stdout.trimEnd();
	}

	/* Many requests by one process. */
	batch(requests) {
		const answers = this.run("dpl-batch", [], {input: requests.map(([path, body]) => JSON.stringify({path, body}) + "\n").join("")}).split("\n").map(l => JSON.parse(l));
		for (const a of answers)
			if (a.status !== 200)
				throw new Error(JSON.stringify(a));
		return answers.map(a => a.body);
	}

	/* Run one beside us. */
	start(command, args) {
		const child = spawn(command, args, {env: this.env, cwd: this.folder, stdio: ["ignore", "ignore", "ignore"]});
		child.over = new Promise(resolve => child.on("exit", (status, signal) => resolve({status, signal})));
		this.children.push(child);
		return child;
	}

	/* Serve it: at the same port as before, if there was one. */
	async serve(options = []) {
		const server = spawn("dpl-serve", ["-C", this.path, "-l", "127.0.0.1", "-P", String(this.port ?? 0), ...options], {env: this.env, stdio: ["ignore", "pipe", "inherit"]});
		server.over = new Promise(resolve => server.on("exit", resolve));
		this.children.push(server);
		this.server = server;
		for await (const line of createInterface({input: server.stdout})) {
			this.url = line;
			this.port = new URL(line).port;
			server.stdout.resume();
			return line;
		}
		throw new Error("dpl-serve said nothing");
	}

	async kill() {
		this.server.kill("SIGKILL");
		await this.server.over;
	}

	async end() {
		for (const child of this.children)
			if (child.exitCode === null && child.signalCode === null) {
				child.kill("SIGTERM");
				await child.over;
			}
		rmSync(this.folder, {recursive: true, force: true});
	}
}

export function launch() {
	return chromium.launch({executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: process.getuid() === 0 ? ["--no-sandbox"] : []});
}

/* An operation of 10,000 calls in trees of ten, some of which failed or were cancelled. */
export function tenThousandCalls(ledger) {
	const op = ledger.run("dpl-create", ["-p", "boss", "-d", "ten thousand calls"]);
	const requests = [];
	for (let w = 0; w < 5; w++)
		requests.push(["/operation/join", {operationId: op, participantId: "worker-" + w}]);
	for (let i = 0; i < 1000; i++) {
		const me = {operationId: op, participantId: "worker-" + i % 5}, ids = [];
		for (let k = 0; k < 10; k++) {
			const callId = `call_w_${i}_${k}`;
			requests.push(["/call/start", {...me, callId, description: `part ${k} of ${i}`, ...(k && {parentId: ids[Math.floor(k / 3)]})}]);
			ids.push(callId);
		}
		for (const callId of ids.reverse())
			if (i % 20 === 7)
				requests.push(["/call/fail", {...me, callId, error: "no luck"}]);
			else
				requests.push(["/call/end", {...me, callId, result: "fine"}]);
	}
	ledger.batch(requests);
	return op;
}
