/* operation: one operation, live or past. */

class View {
	static tabs = ["timeline", "log", "resources", "trail", "why"];

	constructor(id, tab, signal) {
		this.id = id;
		this.signal = signal;
		this.story = new Story();
		this.shown = null;     /* the answer of /operation/show */
		this.element = el("div", {class: "one"});
		this.head = el("div", {class: "ophead"});
		this.people = el("div", {class: "people"});
		this.panel = el("div", {class: "panel", role: "tabpanel", id: "panel"});
		this.timeline = new Timeline(this.story, c => this.showCall(c));
		this.log = this.entries("log", () => this.story.log);
		this.trail = this.entries("trail", () => this.story.trail);
		const list = this.story.resourceList;
		this.resources = new Rows("temp resources", "listbox", i => list[i].id, i => this.resourceRow(list[i]), i => this.showResource(list[i]));
		this.why = el("div");
		this.nav = el("div", {class: "tabs", role: "tablist"});
		for (const name of View.tabs)
			this.nav.append(el("a", {role: "tab", id: "tab-" + name, href: `#/${encodeURIComponent(id)}/${name}`, "aria-controls": "panel"}, name, " ", el("small")));
		this.element.append(el("p", {class: "empty", text: "reading"}));
		this.open(tab);
	}

	entries(label, list) {
		const rows = new Rows(label, "listbox", i => list()[i].seq, i => this.entryRow(list()[i]), i => this.showEntry(list()[i]));
		rows.follow = true;
		return rows;
	}

	/* Fill it, and keep it so. */
	run() {
		let patience = 100;
		persist(async (signal, fine) => {
			if (!this.shown)
				await this.look();
			let over = false;
			await readEvents(this.id, this.story.next, signal, fine, events => {
				for (const e of events)
					if (e.kind === "end")
						over = true;
					else if (e.kind === "error")
						throw new Failure(e.data.code === "operation-not-found" ? 404 : 500, e.data);
					else
						this.story.take(e.data);
				this.changed();
			});
			if (!over) { /* cut off: not at once again, whoever did it */
				await rest(250, signal);
				return false;
			}
			await this.look();
			line("live", "past");
			if (this.story.archived)
				return true;
			/* What was registered is removed behind the end, of another host perhaps much later. */
			await rest(patience = Math.min(5000, patience * 2), signal);
			return false;
		}, this.signal, e => this.fail(e));
	}

	fail(e) {
		line("lost", e.status === 404 ? "gone" : "refused");
		this.element.replaceChildren(el("p", {class: "empty", text: e.status === 404 ? `There is no operation ${this.id}; it may have been pruned.` : e.message}), el("p", {}, el("a", {href: "#/", text: "All operations"})));
		this.failed = true;
	}

	/* Ask how it is. */
	async look() {
		this.shown = await ask("/operation/show", {operationId: this.id, calls: "none"}, this.signal);
		this.looked = Date.now();
		if (this.failed) /* meanwhile */
			return;
		if (!this.shown.ended)
			clock.set(this.shown.shownAt);
		this.drawHead();
		this.drawPeople();
		if (this.tab === "why")
			await this.askWhy();
	}

	/* The same, at most every 250 ms, and one question at a time: a slow server is not asked faster than it answers. */
	lookSoon() {
		if (this.pending) {
			this.again = true;
			return;
		}
		this.again = false;
		this.pending = setTimeout(async () => {
			if (!this.signal.aborted && !this.failed)
				await this.look().catch(() => {});
			this.pending = null;
			if (this.again)
				this.lookSoon();
		}, Math.max(0, 250 - (Date.now() - (this.looked ?? 0))));
	}

	changed() {
		this.drawTab();
		this.lookSoon();
	}

	tick() {
		/* Beats leave no entry. */
		if (this.shown && !this.shown.endTime && !this.failed && Date.now() - this.looked > 4000)
			this.lookSoon();
		if (this.tab === "timeline" && this.story.running && !this.story.end)
			this.timeline.update();
	}

	/* --- the head --- */

	drawHead() {
		const o = this.shown, [word, colour] = stateOf(o), start = Date.parse(o.startTime), end = Date.parse(o.endTime);
		document.title = join([o.description || o.operationId, word], " \u2014 ") + " \u2014 dpl";
		const key = JSON.stringify([o.description, word, o.abortReason, o.crashEvidence, o.endReason, o.endTime]);
		if (this.head.key !== key) {
			this.head.key = key;
			const live = !o.ended && !o.endTime;
			fill(this.head,
				el("div", {class: "title"}, el("h1", {text: o.description || o.operationId}), el("span", {class: "badge " + colour, id: "state", text: word}),
					live && !o.aborted && el("button", {type: "button", class: "danger", id: "abort", text: "Abort…", onclick: () => this.abort()})),
				el("p", {class: "sub"}, el("code", {text: o.operationId}), ` by ${o.initiatorId}, started ${moment(start)}, `,
					end ? "took " : "runs for ", lasting(start, end || 0), end ? `, ended ${moment(end)}` : ""),
				o.aborted && el("p", {class: "banner aborted"}, el("b", {text: "Aborted"}), join([` by ${o.abortedBy ?? "somebody"} at ${moment(Date.parse(o.abortedAt))}`, o.abortReason], ": ")),
				o.crashed && el("p", {class: "banner crashed"}, el("b", {text: `${o.crashedCallId ?? o.crashedParticipantId} died`}), o.crashEvidence ? ": " + o.crashEvidence : ""),
				o.endReason && !o.crashed && o.endReason !== o.abortReason && el("p", {class: "banner"}, el("b", {text: "Ended"}), ": " + o.endReason));
		}
		if (!this.head.isConnected)
			this.element.replaceChildren(this.head, this.people, this.nav, this.panel);
		this.drawTab();
	}

	abort() {
		const reason = el("input", {type: "text", maxlength: "1000", placeholder: "why, for those who are stopped by it", autocomplete: "off"});
		const name = el("input", {type: "text", maxlength: "100", value: localStorage.getItem("dpl-name") ?? "web", required: true, autocomplete: "off"});
		dialogue("Abort this operation?", [
			el("p", {text: "All who take part in it are told at once, and their commands are ended."}),
			field("Reason", reason), field("Your name", name)], "Abort", async () => {
			const body = {operationId: this.id, participantId: name.value.trim()};
			if (reason.value.trim())
				body.reason = reason.value.trim();
			await ask("/operation/abort", body, this.signal);
			localStorage.setItem("dpl-name", name.value.trim());
			say("The operation is aborted.");
			this.lookSoon();
		});
		reason.focus();
	}

	/* --- who takes part --- */

	drawPeople() {
		const here = new Set(this.shown.participants.map(p => p.participantId));
		const gone = [...this.story.people.values()].filter(p => !here.has(p.participantId) && !(p.sessions > 0));
		patch(this.people, el("div", {class: "people"}, ...this.shown.participants.concat(gone).map(p => this.person(p))));
	}

	person(p) {
		const past = this.shown.endTime, beats = Number.isFinite(p.beatAgeMs) && p.beatAgeMs >= 0 && !past;
		const life = p.died || p.liveness === "dead" ? "dead" : !p.sessions ? "left" : past ? "past" : p.liveness ?? "joined";
		const seen = beats ? this.looked - p.beatAgeMs + clock.ahead : p.lastMs ?? Date.parse(p.lastSeenAt);
		const done = p.progress?.total > 0 ? Math.min(1, p.progress.done / p.progress.total) : -1;
		return el("div", {class: "person " + life, title: p.evidence}, el("b", {text: p.participantId}),
			el("span", {class: "life"}, el("i", {class: "dot"}), life === "past" ? "to the end" : life),
			el("small", {}, beats ? "beat " : "seen ", ago(seen)),
			el("small", {text: join([plural(p.callsStarted ?? 0, "call"), p.callsRunning > 0 && p.callsRunning + " running", p.isInitiator && "initiator"])}),
			p.progress && el("small", {text: progress(p.progress)}), done >= 0 && el("progress", {max: 1, value: done, "aria-label": "progress"}));
	}

	/* --- the tabs --- */

	open(tab) {
		this.tab = View.tabs.includes(tab) ? tab : "timeline";
		const inside = this.nav.contains(document.activeElement);
		for (const a of this.nav.children) {
			const is = a.id === "tab-" + this.tab;
			a.setAttribute("aria-selected", is);
			a.tabIndex = is ? 0 : -1;
			if (is && inside)
				a.focus();
		}
		this.panel.setAttribute("aria-labelledby", "tab-" + this.tab);
		this.none = el("p", {class: "empty", hidden: true});
		this.panel.replaceChildren({timeline: this.timeline.element, log: this.log.host, resources: this.resources.host, trail: this.trail.host, why: this.why}[this.tab], this.none);
		this.drawTab();
		if (this.tab === "why" && this.shown)
			this.askWhy().catch(() => {});
	}

	drawTab() {
		const s = this.story, counts = {timeline: s.calls.size, log: s.log.length, resources: s.resources.size, trail: s.trail.length};
		for (const a of this.nav.children)
			put(a.lastChild, counts[a.id.slice(4)] ?? "");
		if (this.tab === "timeline")
			this.timeline.update();
		else if (this.tab !== "why")
			this[this.tab].set(counts[this.tab]);
		this.none.hidden = this.tab === "why" || counts[this.tab] > 0;
		put(this.none, {timeline: "No calls yet.", log: "Nothing in the log.", resources: "No temp resources.", trail: "reading"}[this.tab] ?? "");
	}

	async askWhy() {
		fill(this.why, drawWhy(await ask("/operation/why", {operationId: this.id}, this.signal), this.story.calls));
	}

	entryRow(e) {
		return el("div", {class: "entry row " + gravity(e)}, el("span", {class: "when", title: e.at}, moment(e.ms), el("i", {text: moment(e.ms, true).slice(-4)})), el("b", {text: e.by}),
			el("span", {class: "text", text: (gravity(e) === "info" ? "" : `[${gravity(e)}] `) + sentence(e)}));
	}

	resourceRow(r) {
		return el("div", {class: `resource row ${r.gone ? "gone" : ""} ${r.state}`}, el("span", {class: "kind", text: r.kind}), el("span", {class: "text", text: r.what}),
			el("b", {text: r.by}), el("span", {class: "state", text: join([r.state, r.reason], ": ")}));
	}

	/* --- the details of one --- */

	details(title, members) {
		const d = el("dialog", {class: "details", "aria-label": title}, el("h2", {text: title}),
			el("dl", {}, ...Object.entries(members).filter(([, v]) => v !== undefined && v !== null && v !== "").flatMap(([k, v]) => [el("dt", {text: k}), el("dd", {text: typeof v === "object" ? JSON.stringify(v) : v})])),
			el("div", {class: "buttons"}, el("button", {type: "button", text: "Close", autofocus: true, onclick: () => d.close()})));
		d.addEventListener("close", () => d.remove());
		d.addEventListener("click", e => e.target === d && d.close());
		document.body.append(d);
		d.showModal();
	}

	showEntry(e) {
		const {ms, ...members} = e;
		this.details(`Entry ${e.seq}`, members);
	}

	showCall(c) {
		const {seq, at, event, by, callId, durationMs, ...end} = c.ended ?? {}, s = c.started;
		this.details(c.description || c.id, {call: c.id, state: c.state, participant: c.by, below: c.parent?.id, started: moment(c.start, true), ended: c.end ? moment(c.end, true) : "",
			took: duration((c.end || clock.now()) - c.start), "ended by": by === c.by ? "" : by, progress: c.progress && progress(c.progress), group: s.group, pid: s.pid, host: s.host, ...end, ms: undefined});
	}

	showResource(r) {
		this.details(`Resource ${r.id}`, {kind: r.kind, what: r.what, state: r.state, reason: r.reason, "registered by": r.by, call: r.call, registered: moment(r.ms, true)});
	}

	shortcut(key) {
		const step = {h: -1, l: 1, ArrowLeft: -1, ArrowRight: 1}[key];
		if (key === "a")
			byId("abort")?.click();
		else if (key === "u" || key === "Escape")
			location.hash = "#/";
		else if (key >= "1" && key <= String(View.tabs.length))
			location.hash = `#/${encodeURIComponent(this.id)}/${View.tabs[key - 1]}`;
		else if (step)
			location.hash = `#/${encodeURIComponent(this.id)}/${View.tabs[(View.tabs.indexOf(this.tab) + step + View.tabs.length) % View.tabs.length]}`;
		else
			return false;
		return true;
	}
}
