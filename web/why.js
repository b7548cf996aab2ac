/* why: what an operation died of or waits for, from the answer of /operation/why. */

function verdict(w, victim) {
	const crash = w.crashes?.list?.[0], trouble = w.troubles?.list?.find(t => !["suspended", "suspect"].includes(t.liveness)) ?? w.troubles?.list?.[0];
	const left = (w.left?.count ?? 0) + (w.pending?.count ?? 0);
	if (w.first === "crash" && crash)
		return ["bad", join([victim(crash) + " died", crash.evidence], ": ")];
	if (w.first === "abort")
		return ["bad", join([`${w.abort?.by ?? "somebody"} aborted it`, w.abort?.reason], ": ") + (crash ? "; after that somebody died" : "")];
	if (w.verdict === "failed")
		return ["bad", join([`${w.end?.by} ended it as failed`, w.end?.reason], ": ")];
	if (w.verdict === "troubled" && trouble)
		return ["bad", join([`${victim(trouble)} is ${trouble.liveness}`, trouble.evidence], ": ")];
	if (w.verdict === "completed")
		return left ? ["odd", `${w.end?.by} completed it; ${plural(left, "temp resource")} not removed`] : ["good", `Nothing is wrong: ${w.end?.by} completed it.`];
	return ["good", "Nothing is wrong: it runs, and nobody who takes part is dead, hung or stale."];
}

function whyPart(title, part, item, more = "") {
	const list = part?.list ?? [];
	if (!list.length)
		return null;
	return el("section", {}, el("h3", {}, title + more, " ", el("small", {text: part.count})),
		el("ul", {}, ...list.map(x => el("li", {text: item(x)}))), part.count > list.length && el("p", {class: "empty", text: `and ${part.count - list.length} more`}));
}

/* `calls`: those of the operation, for what they were about. */
function drawWhy(w, calls) {
	const about = x => calls.get(x.callId)?.description;
	const victim = x => !x.callId ? x.participantId ?? "somebody" : `${x.callId} of ${x.participantId}${about(x) ? ` (${about(x)})` : ""}`;
	const [mood, text] = verdict(w, victim);
	const call = c => join([`${c.callId} of ${c.participantId}`, c.description, c.error ?? c.reason ?? c.evidence], ": ");
	const resource = r => join([r.path ?? r.command ?? (r.pid ? "process " + r.pid : "resource " + r.resourceId), r.state, r.reason], ": ");
	const at = x => moment(Date.parse(x.at), true);
	const stopped = join([w.stoppedAfterAbort && w.stoppedAfterAbort + " after the abort", w.stoppedAfterCrash && w.stoppedAfterCrash + " after a death"]);
	const r = w.resources ?? {}, counts = join(["removed", "gone", "kept", "here", "failed", "left", "forgotten"].map(k => r[k] > 0 && `${r[k]} ${k === "here" ? "still there" : k}`));
	return el("div", {class: "why"}, el("p", {class: "verdict " + mood, text}),
		whyPart("Who died", w.crashes, c => join([victim(c), c.evidence, `found by ${c.by} at ${at(c)}`])),
		w.abort && el("section", {}, el("h3", {text: "Aborted"}), el("p", {text: join([`by ${w.abort.by} at ${at(w.abort)}`, w.abort.reason], ": ")})),
		whyPart("Stopped", w.stoppedCalls, call, stopped && ": " + stopped),
		whyPart("Failed", w.failedCalls, call),
		whyPart("Not alive", w.troubles, t => join([`${victim(t)} is ${t.liveness}`, t.evidence], ": ")),
		whyPart("Running", w.running, call),
		whyPart("Cleanup", w.coordinators, c => join([`epoch ${c.epoch} by ${c.by}`, c.pid && `pid ${c.pid}${c.host ? " on " + c.host : ""}`, c.reason])),
		w.waitingFor?.length > 0 && el("p", {text: "waits for " + w.waitingFor.join(", ")}),
		r.registered > 0 && el("section", {}, el("h3", {text: "Temp resources"}), el("p", {text: `${counts}, of ${r.registered}`})),
		whyPart("Left, and nobody will remove them", w.left, resource),
		whyPart("Still to be removed, on the host where they are", w.pending, resource),
		w.end && el("section", {}, el("h3", {text: "Ended"}), el("p", {text: join([`at ${at(w.end)} by ${w.end.by}, after ${duration(w.durationMs)}`, w.end.reason], ": ")})),
		w.log?.list?.length > 0 && el("section", {}, el("h3", {text: "The last of the log"}),
			el("ul", {class: "lines"}, ...w.log.list.map(l => el("li", {class: l.level, text: `${at(l)} ${l.by}: ${l.message}`})))));
}
