/* text: how texts, times and durations of the ledger are shown. */

/* What is invisible, moves a cursor or turns the writing direction is shown as what it is. */
const unsafe = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

function shown(value) {
	return String(value ?? "").replace(unsafe, c => {
		const code = c.codePointAt(0);
		return c === "\n" ? "\\n" : c === "\t" ? "\\t" : code < 256 ? "\\x" + code.toString(16).padStart(2, "0") : "\\u" + code.toString(16).padStart(4, "0");
	});
}

/* At most two units, as the commands write it. */
function duration(ms) {
	if (!(ms >= 0))
		return "";
	if (ms < 1000)
		return (ms / 1000).toFixed(3) + " s";
	const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
	if (s < 60)
		return (Math.floor(ms / 100) / 10).toFixed(1) + " s";
	return m < 60 ? `${m}m ${s % 60}s` : h < 24 ? `${h}h ${m % 60}m` : `${d}d ${h % 24}h`;
}

/* An age of something that is looked at each second needs no fractions. */
function age(ms) {
	return ms < 1000 ? "now" : ms < 60000 ? Math.floor(ms / 1000) + " s ago" : duration(ms) + " ago";
}

function two(n) {
	return String(n).padStart(2, "0");
}

/* The time of day, with the day where it is another one than today. */
function moment(ms, fine) {
	const t = new Date(ms), today = new Date();
	if (isNaN(t))
		return "";
	const day = t.toDateString() === today.toDateString() ? "" : `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} `;
	return `${day}${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}${fine ? "." + String(t.getMilliseconds()).padStart(3, "0") : ""}`;
}

function plural(n, what) {
	return `${n} ${what}${n === 1 ? "" : "s"}`;
}

/* "a, b" of what is not empty */
function join(parts, between = ", ") {
	return parts.filter(Boolean).join(between);
}

/* The server's clock, as far as answers told of it: what is in the ledger has its times. */
const clock = {
	ahead: 0,
	now() {
		return Date.now() + this.ahead;
	},
	set(time) {
		const ms = Date.parse(time);
		if (!isNaN(ms))
			this.ahead = ms - Date.now();
	},
};
