/* list: all operations, those that are live first. */

const byAge = (a, b) => Date.parse(b.startTime) - Date.parse(a.startTime) || (a.operationId < b.operationId ? 1 : -1);

/* What an operation's state is called, and in which colour. */
function stateOf(o) {
	if (o.error)
		return ["unreadable", "failed"];
	const ended = o.state === "completed" || o.state === "failed";
	if (o.crashed && !ended)
		return [o.state === "cleanup" ? "cleaning up" : "crashed", "crashed"];
	if (o.aborted)
		return [ended ? o.state + ", aborted" : "aborted", o.state === "failed" ? "failed" : "aborted"];
	return [o.state === "cleanup" ? "cleaning up" : o.state, o.state === "completed" ? "ended" : o.state === "cleanup" ? "aborted" : o.state];
}

class List {
	operations = new Map();
	rows = new Map();

	constructor(signal) {
		this.signal = signal;
		this.filter = el("input", {type: "search", placeholder: "find: a word of the description, an id, a name, a state", "aria-label": "find", id: "filter", autocomplete: "off",
			spellcheck: "false", oninput: () => this.arrange()});
		this.live = el("div", {class: "list"});
		this.past = el("div", {class: "list"});
		this.counts = {live: el("small"), past: el("small")};
		this.empty = el("p", {class: "empty", hidden: true});
		this.element = el("div", {class: "all"}, this.filter, this.empty,
			this.liveHead = el("h2", {hidden: true}, "Live ", this.counts.live), this.live,
			this.pastHead = el("h2", {hidden: true}, "Past ", this.counts.past), this.past);
		this.element.addEventListener("keydown", e => this.key(e));
		document.title = "dpl";
	}

	/* Fill it, and keep it so. */
	run() {
		let after = 0;
		const round = async (signal, fine) => {
			const changes = await ask("/operation/changes", {after, waitMs: after ? 25000 : 0}, signal);
			const begun = Date.now(), known = changes.operations.concat(changes.ended);
			/* Who was deleted from among the past ones is told by the whole list alone. */
			if (!after || known.length > 8 || changes.ended.length)
				await this.fetchAll(signal);
			else
				await Promise.all(known.map(id => this.fetchOne(id, signal)));
			const took = Date.now() - begun;
			after = changes.next;
			fine();
			this.arrange();
			if (known.length)
				await rest(Math.max(100, Math.min(3000, took)), signal);
		};
		persist(async (signal, fine) => {
			try {
				await round(signal, fine);
			} catch (e) {
				after = 0; /* another server does not know what this one would have told */
				throw e;
			}
		}, this.signal, e => this.fail(e));
	}

	fail(e) {
		line("lost", "refused");
		put(this.empty, e.message);
		this.empty.hidden = false;
	}

	async fetchAll(signal) {
		const all = (await ask("/operation/list", {ended: true}, signal)).operations;
		this.operations = new Map(all.map(o => [o.operationId, o]));
	}

	async fetchOne(id, signal) {
		try {
			this.operations.set(id, await ask("/operation/show", {operationId: id, calls: "none"}, signal));
		} catch (e) {
			if (e.status === 404)
				this.operations.delete(id);
			else if (e.code === "damaged-journal" || e.code === "unsupported-format")
				this.operations.set(id, {operationId: id, error: e.message, startTime: this.operations.get(id)?.startTime});
			else
				throw e;
		}
	}

	matches(o, words) {
		const text = [o.operationId, o.description, o.initiatorId, stateOf(o)[0], o.abortReason, o.endReason, ...(o.participants ?? []).map(p => p.participantId)].join(" ").toLowerCase();
		return words.every(w => text.includes(w));
	}

	/* Of many rows those that are seen first are there first. */
	arrange() {
		this.budget = 120;
		const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
		const some = [...this.operations.values()].filter(o => this.matches(o, words)).sort(byAge);
		const live = some.filter(o => !o.ended), past = some.filter(o => o.ended), focused = document.activeElement;
		this.fill(this.live, live);
		this.fill(this.past, past);
		if (focused !== document.activeElement && this.element.contains(focused))
			focused.focus({preventScroll: true});
		for (const id of this.rows.keys())
			if (!this.operations.has(id))
				this.rows.delete(id);
		put(this.counts.live, live.length);
		put(this.counts.past, past.length);
		this.liveHead.hidden = !live.length;
		this.pastHead.hidden = !past.length;
		this.empty.hidden = some.length > 0;
		if (this.budget < 0)
			requestAnimationFrame(() => this.signal.aborted || this.arrange());
		put(this.empty, this.operations.size ? "Nothing matches." : "There is no operation in this ledger yet. dpl-create makes one.");
	}

	/* The rows of these operations, in this order; those that are right stay as they are, so that the keyboard does not lose its place. */
	fill(host, operations) {
		let at = host.firstElementChild;
		const wanted = new Set();
		for (const o of operations) {
			const key = `${o.seq} ${o.ended} ${o.aborted} ${o.error}`;
			let row = this.rows.get(o.operationId);
			if ((!row || row.key !== key) && --this.budget >= 0) {
				const fresh = this.row(o);
				row = row ? patch(row, fresh) : fresh;
				row.key = key;
				this.rows.set(o.operationId, row);
			}
			if (!row)
				continue;
			wanted.add(row);
			if (at === row)
				at = row.nextElementSibling;
			else
				host.insertBefore(row, at);
		}
		for (const row of [...host.children])
			if (!wanted.has(row))
				row.remove();
	}

	row(o) {
		const [word, colour] = stateOf(o);
		const start = Date.parse(o.startTime), calls = o.callCounts ?? {}, people = o.participants ?? [];
		const here = people.filter(p => p.sessions > 0).length;
		const failed = join([calls.failed && calls.failed + " failed", calls.crashed && calls.crashed + " crashed"]);
		return el("a", {class: `op ${colour}`, href: "#/" + encodeURIComponent(o.operationId)},
			el("span", {class: "state"}, el("i", {class: "dot"}), word),
			el("span", {class: "what"}, el("b", {text: o.description || o.operationId}), el("small", {text: o.error ?? (o.description ? o.operationId : "")})),
			el("span", {class: "who", title: people.map(p => p.participantId).join(", "), text: o.error ? "" : o.ended ? plural(people.length, "participant") : `${here} of ${plural(people.length, "participant")}`}),
			el("span", {class: "calls"}, o.error ? "" : calls.running ? `${calls.running} of ${calls.started} running` : plural(calls.started, "call"),
				failed && el("em", {text: ", " + failed})),
			el("span", {class: "when"}, isNaN(start) ? "" : o.ended ? el("span", {}, ago(Date.parse(o.endTime ?? o.changedAt)), el("small", {}, " took ", lasting(start, Date.parse(o.endTime ?? o.changedAt)))) :
				el("span", {}, lasting(start, o.endTime ? Date.parse(o.endTime) : 0))));
	}

	key(e) {
		const step = {j: 1, ArrowDown: 1, k: -1, ArrowUp: -1}[e.key];
		if (!step || e.ctrlKey || e.altKey || e.metaKey || (e.target === this.filter && e.key.length === 1))
			return;
		const rows = [...this.element.querySelectorAll("a.op")], at = rows.indexOf(document.activeElement);
		e.preventDefault();
		e.stopPropagation();
		(rows[at + step] ?? (at < 0 ? rows[0] : rows[at]))?.focus();
	}

	/* A key that nobody else took. */
	shortcut(key) {
		if (key === "/")
			this.filter.focus();
		else if (key === "j" || key === "ArrowDown")
			this.element.querySelector("a.op")?.focus();
		else
			return false;
		return true;
	}
}
