/* rows: a list of any length, of which only what is seen is in the page. */

class Rows {
	/* `draw(i)` gives row i, all of one height; `open(i)` is what Enter or a click does. */
	constructor(label, draw, open) {
		this.draw = draw;
		this.open = open;
		this.n = 0;
		this.at = -1;      /* the row that is chosen */
		this.space = el("div", {class: "space"});
		this.host = el("div", {class: "rows", tabindex: "0", role: "listbox", "aria-label": label}, this.space);
		this.host.addEventListener("scroll", () => this.soon(), {passive: true});
		this.host.addEventListener("keydown", e => this.key(e));
		this.host.addEventListener("click", e => {
			const row = e.target.closest("[data-row]");
			if (row) {
				this.at = Number(row.dataset.row);
				this.soon();
				this.open?.(this.at, e);
			}
		});
		new ResizeObserver(() => this.soon()).observe(this.host);
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
		const rows = [];
		for (let i = first; i < last; i++) {
			const row = this.draw(i);
			row.dataset.row = i;
			row.id = "row" + i;
			row.setAttribute("role", "option");
			row.setAttribute("aria-selected", i === this.at);
			row.setAttribute("aria-posinset", i + 1);
			row.setAttribute("aria-setsize", this.n);
			row.style.top = i * this.height + "px";
			rows.push(row);
		}
		this.space.replaceChildren(...rows);
		if (this.at >= first && this.at < last)
			this.host.setAttribute("aria-activedescendant", "row" + this.at);
		else
			this.host.removeAttribute("aria-activedescendant");
	}

	key(e) {
		const page = Math.max(1, Math.floor(this.host.clientHeight / this.height) - 1);
		const steps = {ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity};
		if (e.ctrlKey || e.altKey || e.metaKey)
			return;
		if (steps[e.key] !== undefined) {
			this.at = Math.min(this.n - 1, Math.max(0, this.at + steps[e.key]));
			const top = this.at * this.height;
			if (top < this.host.scrollTop)
				this.host.scrollTop = top;
			else if (top + this.height > this.host.scrollTop + this.host.clientHeight)
				this.host.scrollTop = top + this.height - this.host.clientHeight;
			this.soon();
		} else if (e.key === "Enter" && this.at >= 0)
			this.open?.(this.at, e);
		else
			return;
		e.preventDefault();
		e.stopPropagation();
	}
}
