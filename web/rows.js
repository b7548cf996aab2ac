/* rows: a list of any length, of which only what is seen is in the page. */

class Rows {
	/* `draw(i)` gives row i, all of one height; `key(i)` what it is about, whose element stays when others come before it; `open(i)` is
	 * what Enter or a click does. */
	constructor(label, role, key, draw, open) {
		this.key = key;
		this.draw = draw;
		this.open = open;
		this.role = role;
		this.n = 0;
		this.at = -1;      /* the row that is chosen, and what it is about */
		this.chosen = undefined;
		this.cells = new Map();
		this.space = el("div", {class: "space", role: "presentation"});
		this.host = el("div", {class: "rows", tabindex: "0", role, "aria-label": label}, this.space);
		this.host.addEventListener("scroll", () => this.soon(), {passive: true});
		this.host.addEventListener("keydown", e => this.pressed(e));
		this.host.addEventListener("click", e => {
			const row = e.target.closest("[data-row]");
			if (row) {
				this.choose(Number(row.dataset.row));
				this.open?.(this.at, e);
			}
		});
		new ResizeObserver(() => this.soon()).observe(this.host);
	}

	choose(i) {
		this.at = i;
		this.chosen = i >= 0 ? this.key(i) : undefined;
		this.soon();
	}

	get height() {
		return this.rowHeight ??= parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
	}

	/* There are n now.  One who looks at the last ones goes on doing so. */
	set(n) {
		const atEnd = this.follow && this.host.scrollTop + this.host.clientHeight >= this.space.offsetHeight - this.height;
		if (n !== this.n) {
			this.n = n;
			this.space.style.height = n * this.height + "px";
		}
		if (atEnd)
			this.host.scrollTop = this.space.offsetHeight;
		if (this.at >= 0 && (this.at >= n || this.key(this.at) !== this.chosen)) {
			let i = 0;
			while (i < n && this.key(i) !== this.chosen)
				i++;
			this.at = i < n ? i : -1;
		}
		this.soon();
	}

	soon() {
		this.frame ??= requestAnimationFrame(() => {
			this.frame = null;
			this.paint();
		});
	}

	paint() {
		const first = Math.max(0, Math.floor(this.host.scrollTop / this.height) - 4);
		const last = Math.min(this.n, Math.ceil((this.host.scrollTop + this.host.clientHeight) / this.height) + 4);
		const cells = new Map(), wanted = new Set();
		for (let i = first; i < last; i++)
			wanted.add(this.key(i));
		for (const [key, cell] of this.cells)
			if (!wanted.has(key))
				cell.remove();
		for (let i = last - 1, next = null; i >= first; i--) {
			const fresh = this.draw(i), key = this.key(i), old = this.cells.get(key);
			fresh.dataset.row = i;
			fresh.id = "row" + i;
			fresh.setAttribute("role", this.role === "tree" ? "treeitem" : "option");
			fresh.setAttribute("aria-selected", i === this.at);
			fresh.setAttribute("aria-posinset", i + 1);
			fresh.setAttribute("aria-setsize", this.n);
			fresh.style.top = i * this.height + "px";
			const cell = old ? patch(old, fresh) : fresh;
			if (!old || cell.nextSibling !== next)
				this.space.insertBefore(cell, next);
			cells.set(key, next = cell);
		}
		this.cells = cells;
		if (this.at >= first && this.at < last)
			this.host.setAttribute("aria-activedescendant", "row" + this.at);
		else
			this.host.removeAttribute("aria-activedescendant");
	}

	pressed(e) {
		const page = Math.max(1, Math.floor(this.host.clientHeight / this.height) - 1);
		const steps = {ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity};
		if (e.ctrlKey || e.altKey || e.metaKey)
			return;
		if (steps[e.key] !== undefined) {
			this.choose(Math.min(this.n - 1, Math.max(0, this.at + steps[e.key])));
			const top = this.at * this.height;
			if (top < this.host.scrollTop)
				this.host.scrollTop = top;
			else if (top + this.height > this.host.scrollTop + this.host.clientHeight)
				this.host.scrollTop = top + this.height - this.host.clientHeight;
		} else if (e.key === "Enter" && this.at >= 0)
			this.open?.(this.at, e);
		else
			return;
		e.preventDefault();
		e.stopPropagation();
	}
}
