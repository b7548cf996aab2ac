/* main: which view is shown, keys and colours. */

let view = null, leaving = new AbortController();

function route() {
	const [, id, tab] = location.hash.split("/");
	let name = "";
	try {
		name = decodeURIComponent(id ?? "");
	} catch {
		/* no id at all: the list */
	}
	if (name && view instanceof View && view.id === name) {
		view.open(tab);
		return;
	}
	leaving.abort();
	leaving = new AbortController();
	for (const d of document.querySelectorAll("dialog[open]:not(.token)"))
		d.close();
	view = name ? new View(name, tab, leaving.signal) : new List(leaving.signal);
	byId("main").replaceChildren(view.element);
	scrollTo(0, 0);
	byId("main").focus({preventScroll: true});
	line("wait", "connecting");
	view.run();
}

const themes = ["auto", "light", "dark"];

function theme(name) {
	document.documentElement.dataset.theme = name;
	put(byId("theme"), name);
	localStorage.setItem("dpl-theme", name);
}

function showKeys() {
	const keys = [["/", "find"], ["j k, ↓ ↑", "next, previous"], ["Enter", "open"], ["u, Esc", "back to all operations"], ["1 … 5, h l", "timeline, log, resources, trail, why"], ["a", "abort"],
		["← →", "in the timeline: fold, unfold"], ["+ − 0 < >", "in the timeline: shorter, longer, all, earlier, later"], ["?", "this"]];
	const d = el("dialog", {class: "details", "aria-label": "Keys"}, el("h2", {text: "Keys"}), el("dl", {}, ...keys.flatMap(([k, what]) => [el("dt", {}, el("kbd", {text: k})), el("dd", {text: what})])),
		el("div", {class: "buttons"}, el("button", {type: "button", text: "Close", onclick: () => d.close()})));
	d.addEventListener("close", () => d.remove());
	document.body.append(d);
	d.showModal();
}

addEventListener("keydown", e => {
	if (e.ctrlKey || e.altKey || e.metaKey || document.querySelector("dialog[open]"))
		return;
	if (e.target.closest?.("input, textarea, select")) {
		if (e.key === "Escape")
			e.target.blur();
		return;
	}
	if (e.key === "?")
		showKeys();
	else if (!view.shortcut(e.key))
		return;
	e.preventDefault();
});
addEventListener("hashchange", route);
document.querySelector(".skip").addEventListener("click", e => {
	e.preventDefault();
	byId("main").focus();
});
byId("theme").addEventListener("click", () => theme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]));
byId("help").addEventListener("click", showKeys);
theme(themes.includes(localStorage.getItem("dpl-theme")) ? localStorage.getItem("dpl-theme") : "auto");
fetch("status", {cache: "no-store"}).then(r => r.json()).then(s => {
	clock.set(s.timestamp);
	put(byId("where"), s.basePath ?? location.host);
	byId("where").title = `dpl ${shown(s.version)} at ${location.host}`;
}).catch(() => {});
setInterval(() => {
	if (!document.hidden) {
		growOlder();
		view.tick?.();
	}
}, 500);
route();
