/* server: requests, the token that they may need, and event streams. */

class Failure extends Error {
	constructor(status, answer) {
		super(join([answer?.error ?? `the server answers ${status}`, answer?.detail], ": "));
		this.status = status;
		this.code = answer?.code;
	}
}

/* The token stays in this tab, until that is closed. */
const token = {
	value: sessionStorage.getItem("dpl-token") ?? "",
	asked: null,
	/* Ask for one; whoever else needs it meanwhile waits for the same.  False: there is none. */
	ask() {
		return this.asked ??= new Promise(resolve => {
			const input = el("input", {type: "password", autocomplete: "current-password", required: true, spellcheck: "false"});
			const d = dialogue("This server needs a token", [
				el("p", {text: this.value ? "The one that was given is not the right one." : "It stands in the first line of the server's --token-file."}),
				field("Token", input)], "Continue", () => {
				const value = input.value.trim();
				if (!/^[!-~]{16,4095}$/.test(value))
					throw new Error("A token is 16 to 4095 visible characters of ASCII.");
				this.value = value;
				sessionStorage.setItem("dpl-token", this.value);
			}, done => {
				this.asked = null;
				resolve(done);
			});
			d.classList.add("token");
		});
	},
};

async function send(path, options) {
	for (;;) {
		const used = token.value;
		const headers = {...options.headers};
		if (used)
			headers.Authorization = "Bearer " + used;
		const answer = await fetch(path, {...options, headers, cache: "no-store", credentials: "omit"});
		if (answer.ok)
			return answer;
		if (answer.status === 401 && (token.value !== used || await token.ask()))
			continue;
		throw new Failure(answer.status, await answer.json().catch(() => null));
	}
}

/* A request to the ledger: its answer, or a Failure; a TypeError where there is no server. */
async function ask(path, body, signal) {
	const answer = await send(path, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body), signal});
	return answer.json();
}

/* Wait, at most until `signal`. */
function rest(ms, signal) {
	return new Promise(resolve => {
		const over = () => {
			clearTimeout(timer);
			signal.removeEventListener("abort", over);
			resolve();
		};
		const timer = setTimeout(over, ms);
		signal.addEventListener("abort", over);
	});
}

/* What the top line says of the connection. */
function line(state, detail) {
	const e = byId("line");
	put(e, detail ?? state);
	e.className = "line " + state;
	e.title = e.textContent;
}

/* A page that nobody looks at gives its connection back, of which a browser has six for a server: `away` is aborted then, and `seen()`
 * waits until somebody looks again. */
const hidden = {
	away: new AbortController(),
	seen(signal) {
		return new Promise(resolve => {
			const look = () => {
				if (document.hidden && !signal.aborted)
					return;
				document.removeEventListener("visibilitychange", look);
				signal.removeEventListener("abort", look);
				if (this.away.signal.aborted)
					this.away = new AbortController();
				resolve();
			};
			document.addEventListener("visibilitychange", look);
			signal.addEventListener("abort", look);
			look();
		});
	},
};
document.addEventListener("visibilitychange", () => {
	clearTimeout(hidden.timer);
	if (document.hidden)
		hidden.timer = setTimeout(() => hidden.away.abort(), 5000);
});

/* Do `work` again and again, until `signal` or it returns true; after a failure of the way, a little later each time.  A refusal
 * ends it. */
async function persist(work, signal, refused) {
	for (let wait = 250; !signal.aborted;) {
		await hidden.seen(signal);
		const away = hidden.away.signal;
		try {
			if (await work(AbortSignal.any([signal, away]), () => {
				wait = 250;
				line("live");
			}))
				return;
		} catch (e) {
			if (signal.aborted)
				return;
			if (away.aborted) {
				line("wait", "paused");
				continue;
			}
			if (e instanceof Failure && e.status < 500 && e.status !== 429) {
				refused(e);
				return;
			}
			/* fetch(), and a stream that breaks off, throw a TypeError. */
			line("lost", (e instanceof TypeError ? "no answer" : e.message) + ", trying again");
			await rest(wait, signal);
			wait = Math.min(wait * 2, 3000);
		}
	}
}

/* The value of a field of an event.  Lines end at newlines alone: an entry may hold any other character. */
function fieldOf(lines, name) {
	return lines.find(l => l.startsWith(name))?.slice(name.length);
}

/* Read an event stream: `take` gets the events that came together. */
async function read(answer, take) {
	const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
	for (let text = "";;) {
		const {value, done} = await reader.read();
		if (done)
			return;
		text += value;
		const end = text.lastIndexOf("\n\n");
		if (end < 0)
			continue;
		const events = [];
		for (const block of text.slice(0, end).split("\n\n")) {
			const lines = block.split("\n"), kind = fieldOf(lines, "event: "), data = fieldOf(lines, "data: ");
			if (kind && data)
				events.push({kind, data: JSON.parse(data)});
		}
		text = text.slice(end + 2);
		if (events.length)
			take(events);
	}
}

/* The entries of an operation from number `from` on, and whatever comes. */
async function readEvents(id, from, signal, began, take) {
	const answer = await send(`/operation/events?operationId=${encodeURIComponent(id)}&from=${from}`, {headers: {Accept: "text/event-stream"}, signal});
	began();
	await read(answer, take);
}
