/* timeline: calls as bars over time, below those that started them. */

const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5];

/* Colours alone do not tell everybody. */
const signs = {running: "▶", ended: "✓", failed: "✗", crashed: "✝", cancelled: "⊘", queued: "…"};

/* The distance of two lines of the grid, so that `most` of them fit. */
function stepOf(span, most) {
	const least = span / Math.max(1, most);
	const days = steps.at(-1);
	return steps.find(s => s >= least) ?? Math.ceil(least / days) * days;
}

/* A time since the start, as exact as the step that it is at. */
function tick(ms, step) {
	if (!ms)
		return "0";
	if (step < 1000)
		return ms < 60000 ? +(ms / 1000).toFixed(3) + " s" : `${Math.floor(ms / 60000)}m ${+(ms % 60000 / 1000).toFixed(3)}s`;
	const s = Math.round(ms / 1000), units = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
	return s < 60 ? s + " s" : join(units.map(([size, unit], i) => {
		const n = Math.floor((i ? s % units[i - 1][0] : s) / size);
		return n ? n + unit : "";
	}), " ");
}

class Timeline {
	/* `choose(call)` is what Enter or a click does. */
	constructor(story, choose) {
		this.story = story;
		this.view = null;  /* {from, to} where a part of the time is looked at */
		this.seen = [];    /* the calls in the order of the rows, without those that are folded away */
		this.rows = new Rows("calls", "tree", i => this.seen[i], i => this.row(this.seen[i]), (i, e) => {
			if (e.target.closest?.(".fold"))
				this.fold(this.seen[i], !this.seen[i].open);
			else
				choose(this.seen[i]);
		});
		const button = (name, title, does) => el("button", {type: "button", class: "quiet", title, "aria-label": title, text: name, onclick: does});
		this.axis = el("div", {class: "axis", "aria-hidden": "true"});
		this.element = el("div", {class: "timeline"},
			el("div", {class: "tools"}, this.legend = el("span", {class: "legend"}),
				button("‹", "earlier", () => this.move(-0.5)), button("›", "later", () => this.move(0.5)),
				button("−", "a longer time", () => this.zoom(2)), button("+", "a shorter time", () => this.zoom(0.5)),
				button("all", "the whole time", () => this.show(null))),
			el("div", {class: "head call"}, el("span", {class: "name", text: "call"}), this.axis, el("span", {class: "long", text: "took"})),
			this.rows.host);
		this.element.addEventListener("keydown", e => this.key(e), true);
		this.rows.host.addEventListener("wheel", e => {
			if (!e.ctrlKey && Math.abs(e.deltaX) <= Math.abs(e.deltaY))
				return;
			e.preventDefault();
			if (e.ctrlKey)
				this.zoom(e.deltaY > 0 ? 1.25 : 0.8, this.timeAt(e.clientX));
			else
				this.move(e.deltaX / 600);
		}, {passive: false});
		for (const state of ["running", "ended", "failed", "crashed", "cancelled", "queued"])
			this.legend.append(el("span", {class: state}, el("i", {class: "bar"}), `${signs[state]} ${state}`));
	}

	key(e) {
		const call = this.seen[this.rows.at];
		const does = {"+": () => this.zoom(0.5), "-": () => this.zoom(2), "0": () => this.show(null), "<": () => this.move(-0.5), ">": () => this.move(0.5),
			ArrowLeft: () => call && this.fold(call, false), ArrowRight: () => call && this.fold(call, true)}[e.key];
		if (!does || e.ctrlKey || e.altKey || e.metaKey)
			return;
		e.preventDefault();
		e.stopPropagation();
		does();
	}

	fold(call, open) {
		call.open = open || !call.children.length;
		this.update();
	}

	get whole() {
		const {least, greatest, archived, end} = this.story, from = Math.min(least, clock.now());
		const to = Math.max(archived || end ? greatest : Math.max(greatest, clock.now()), from + 1);
		return {from, to: to + (to - from) * 0.02};
	}

	get span() {
		return this.view ?? this.whole;
	}

	show(view) {
		this.view = view;
		this.update();
	}

	move(share) {
		const {from, to} = this.span, by = (to - from) * share;
		this.show({from: from + by, to: to + by});
	}

	zoom(factor, around) {
		const {from, to} = this.span, whole = this.whole;
		const middle = around ?? (from + to) / 2, length = Math.max(2, (to - from) * factor);
		const begins = middle - (middle - from) / (to - from) * length;
		this.show(length >= whole.to - whole.from ? null : {from: begins, to: begins + length});
	}

	timeAt(x) {
		const box = this.axis.getBoundingClientRect(), {from, to} = this.span;
		return from + (to - from) * Math.min(1, Math.max(0, (x - box.left) / box.width));
	}

	/* The order of the rows, anew. */
	update() {
		const seen = [], stack = [...this.story.roots].reverse();
		while (stack.length) {
			const c = stack.pop();
			seen.push(c);
			if (c.open)
				for (let i = c.children.length - 1; i >= 0; i--)
					stack.push(c.children[i]);
		}
		this.seen = seen;
		this.element.classList.toggle("none", !seen.length);
		this.tickAxis();
		this.rows.set(seen.length);
	}

	tickAxis() {
		const {from, to} = this.span, width = this.axis.clientWidth, start = Math.min(this.story.least, from);
		if (!width)
			return;
		const step = stepOf(to - from, width / 80), first = Math.ceil((from - start) / step) * step, ticks = [];
		for (let t = Math.max(0, first); start + t <= to; t += step)
			ticks.push(this.at(el("span", {text: tick(t, step)}), start + t));
		this.axis.replaceChildren(...ticks);
		this.element.style.setProperty("--step", step / (to - from) * width + "px");
		this.element.style.setProperty("--shift", (start + first - from) / (to - from) * width + "px");
	}

	at(e, ms) {
		const {from, to} = this.span;
		e.style.left = (ms - from) / (to - from) * 100 + "%";
		return e;
	}

	row(c) {
		const {from, to} = this.span, end = Math.max(c.end || clock.now(), c.start); /* a clock may have been set back */
		const track = el("span", {class: "track"});
		const left = Math.max(from, c.start), right = Math.min(to, end);
		if (right >= from && left <= to) {
			const bar = this.at(el("i", {class: "bar" + (c.end ? "" : " open")}), left);
			bar.style.width = (right - left) / (to - from) * 100 + "%";
			track.append(bar);
		}
		for (const m of this.story.marks)
			if (m.ms >= from && m.ms <= to)
				track.append(this.at(el("i", {class: "mark " + m.kind, title: m.text}), m.ms));
		const name = el("span", {class: "name"},
			el("i", {class: "fold", "aria-hidden": "true", text: c.children.length ? (c.open ? "▾" : "▸") : ""}),
			el("i", {class: "sign", role: "img", "aria-label": c.state, text: signs[c.state]}),
			el("span", {class: "what", text: c.description || c.id}),
			el("small", {text: join([c.by, !c.end && c.progress && progress(c.progress), !c.open && c.children.length + " below"])}));
		name.style.paddingLeft = Math.min(c.depth, 12) * 14 + "px";
		return el("div", {class: `call row ${c.state}`, "aria-level": c.depth + 1, "aria-expanded": c.children.length ? String(c.open) : null, title: join([c.id, c.state, c.progress && progress(c.progress), c.ended?.error ?? c.ended?.evidence ?? c.ended?.reason])},
			name, track, el("span", {class: "long", text: c.state === "queued" ? "queued" : duration(end - c.start)}));
	}
}
