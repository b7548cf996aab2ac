/* dom: elements.  Text gets into the page here alone, as text and never as markup. */

function el(tag, props, ...children) {
	const e = document.createElement(tag);
	for (const [name, value] of Object.entries(props ?? {})) {
		if (value === undefined || value === null || value === false)
			continue;
		if (name.startsWith("on"))
			e.addEventListener(name.slice(2), value);
		else if (name === "text")
			e.textContent = shown(value);
		else if (name === "class")
			e.className = value;
		else
			e.setAttribute(name, value === true ? "" : name === "title" ? shown(value) : value);
	}
	e.append(...nodes(children));
	return e;
}

/* Children without those that are left out; a text becomes one that may be seen. */
function nodes(children) {
	return children.filter(c => c || c === 0).map(c => c instanceof Node ? c : shown(c));
}

function fill(e, ...children) {
	e.replaceChildren(...nodes(children));
}

/* Make `old` what `fresh` is, and keep what is alike: whoever points at it, reads it or has the keyboard on it is not disturbed. */
function patch(old, fresh) {
	if (old.nodeName !== fresh.nodeName) {
		old.replaceWith(fresh);
		return fresh;
	}
	if (old.nodeType === Node.TEXT_NODE) {
		if (old.data !== fresh.data)
			old.data = fresh.data;
		return old;
	}
	for (const {name} of [...old.attributes])
		if (!fresh.hasAttribute(name))
			old.removeAttribute(name);
	for (const {name, value} of fresh.attributes)
		if (old.getAttribute(name) !== value) {
			if (name === "style") /* the attribute is what the policy forbids */
				old.style.cssText = value;
			else
				old.setAttribute(name, value);
		}
	const wanted = [...fresh.childNodes];
	wanted.forEach((child, i) => i < old.childNodes.length ? patch(old.childNodes[i], child) : old.append(child));
	while (old.childNodes.length > wanted.length)
		old.lastChild.remove();
	return old;
}

/* Change it only where it differs, so that nothing is painted, and read out, again. */
function put(e, text) {
	const s = shown(text);
	if (e.textContent !== s)
		e.textContent = s;
}

function byId(id) {
	return document.getElementById(id);
}

/* A time that grows older by itself. */
function ago(ms) {
	const e = el("time", {"data-ms": ms, title: new Date(ms).toISOString()});
	put(e, age(clock.now() - ms));
	return e;
}

function growOlder() {
	const now = clock.now();
	for (const e of document.querySelectorAll("time[data-ms], [data-since]")) {
		/* Of a long list only what is on the screen. */
		if (e.checkVisibility?.({contentVisibilityAuto: true}) === false)
			continue;
		put(e, e.dataset.ms ? age(now - Number(e.dataset.ms)) : roughly(now - Number(e.dataset.since)));
	}
}

/* Without the tenths, which nobody can read as they run. */
function roughly(ms) {
	return duration(ms).replace(/\.\d+ s$/, " s");
}

/* How long something lasts that began at `start`; it grows where it has no end. */
function lasting(start, end) {
	return end ? el("span", {text: duration(end - start)}) :
		el("span", {"data-since": start, text: roughly(clock.now() - start)});
}

/* A line at the bottom, for a while. */
function say(text, bad) {
	const e = el("div", {class: bad ? "bad" : "", text});
	byId("said").append(e);
	setTimeout(() => e.remove(), bad ? 8000 : 4000);
}

/* A dialogue with a form.  `submit` may throw: the dialogue stays, and says why. */
function dialogue(title, fields, button, submit, closed) {
	const wrong = el("p", {class: "wrong", role: "alert"});
	const form = el("form", {method: "dialog", onsubmit: async event => {
		event.preventDefault();
		ok.disabled = true;
		try {
			await submit();
			d.close("done");
		} catch (e) {
			put(wrong, e.message);
		}
		ok.disabled = false;
	}});
	const ok = el("button", {type: "submit", class: "strong", text: button});
	const d = el("dialog", {"aria-label": title}, form);
	form.append(el("h2", {text: title}), ...fields, wrong, el("div", {class: "buttons"}, ok,
		el("button", {type: "button", text: "Cancel", onclick: () => d.close()})));
	d.addEventListener("close", () => {
		d.remove();
		closed?.(d.returnValue === "done");
	});
	document.body.append(d);
	d.showModal();
	return d;
}

function field(label, input) {
	return el("label", {class: "field"}, el("span", {text: label}), input);
}
