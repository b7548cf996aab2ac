/* story: what the entries of one operation add up to, as far as the page shows it. */

const endings = {"call.ended": "ended", "call.failed": "failed", "call.crashed": "crashed", "call.cancelled": "cancelled"};

class Story {
	calls = new Map();
	roots = [];
	resources = new Map();
	resourceList = []; /* the same, as they were registered */
	people = new Map();
	trail = [];
	log = [];
	marks = [];    /* {ms, kind, text}: abort, crash, end */
	next = 1;      /* the number of the entry that is wanted next */
	start = 0;     /* of the first entry … */
	least = Infinity; /* … but a clock may have been set back */
	greatest = 0;
	end = 0;       /* 0: it has not ended */
	archived = false; /* nothing more can come */
	running = 0;   /* calls */

	take(e) {
		if (e.seq < this.next)
			return;
		const ms = Date.parse(e.at);
		this.next = e.seq + 1;
		this.start ||= ms;
		this.least = Math.min(this.least, ms);
		this.greatest = Math.max(this.greatest, ms);
		e.ms = ms;
		this.trail.push(e);
		this.takePerson(e, ms);
		if (e.event === "log")
			this.log.push(e);
		else if (e.event.startsWith("call."))
			this.takeCall(e, ms);
		else if (e.event.startsWith("resource."))
			this.takeResource(e, ms);
		else
			this.takeOther(e, ms);
	}

	/* Who has left is told by no answer about what is live. */
	takePerson(e, ms) {
		let p = this.people.get(e.by);
		if (e.event === "operation.created" || e.event === "participant.joined") {
			if (!p)
				this.people.set(e.by, p = {participantId: e.by, sessions: 0, callsStarted: 0, isInitiator: e.seq === 1});
			p.sessions++;
			p.died = false;
		} else if (p && e.event === "participant.left")
			p.sessions--;
		else if (p && e.event === "call.started")
			p.callsStarted++;
		else if (e.event === "crash.detected" && !e.callId && this.people.has(e.participantId))
			Object.assign(this.people.get(e.participantId), {sessions: 0, died: true, evidence: e.evidence});
		if (p)
			p.lastMs = ms;
	}

	takeCall(e, ms) {
		let c = this.calls.get(e.callId);
		if (e.event === "call.started" || e.event === "call.queued") {
			const state = e.event === "call.queued" ? "queued" : "running";
			if (!c) {
				const parent = this.calls.get(e.parentId) ?? null;
				c = {id: e.callId, by: e.by, parent, depth: parent ? parent.depth + 1 : 0, children: [], end: 0, open: true, description: e.description};
				this.calls.set(c.id, c);
				(parent ? parent.children : this.roots).push(c);
				this.running++;
			}
			Object.assign(c, {state, start: ms, started: e});
		} else if (c && !c.end && endings[e.event]) {
			Object.assign(c, {state: endings[e.event], end: e.durationMs >= 0 ? c.start + e.durationMs : Math.max(ms, c.start), ended: e});
			this.greatest = Math.max(this.greatest, c.end);
			this.running--;
		}
	}

	takeResource(e, ms) {
		const r = this.resources.get(e.resourceId);
		if (e.event === "resource.added" && !r) {
			const added = {id: e.resourceId, kind: e.kind, by: e.by, call: e.callId, ms, state: "registered",
				what: e.path ?? e.command ?? (e.pid ? "process " + e.pid : "")};
			this.resources.set(e.resourceId, added);
			this.resourceList.push(added);
		} else if (r && e.event === "resource.made")
			r.state = "made";
		else if (r)
			Object.assign(r, {state: e.result, reason: e.reason, gone: e.result !== "failed"});
		/* What the fallback command of a call that crashed has printed, or why it has not. */
		const call = e.isFallback && e.event === "resource.removed" && e.result !== "failed" && this.calls.get(e.callId);
		if (call?.ended) {
			const {fallbackPending, ...ended} = call.ended;
			call.ended = {...ended, ...(e.callResult !== undefined ? {result: e.callResult} : {fallbackError: e.reason})};
		}
	}

	takeOther(e, ms) {
		const call = this.calls.get(e.callId);
		if (e.event === "progress" && call)
			call.progress = e;
		else if (e.event === "abort.set")
			this.marks.push({ms, kind: "abort", text: join(["aborted by " + e.by, e.reason], ": ")});
		else if (e.event === "crash.detected")
			this.marks.push({ms, kind: "crash", text: join([e.participantId + " died", e.evidence], ": ")});
		else if (e.event === "operation.archived")
			this.archived = true;
		else if (e.event === "operation.completed" || e.event === "operation.failed") {
			this.end = ms;
			this.marks.push({ms, kind: "end", text: join([e.event === "operation.failed" ? "failed" : "completed", e.reason], ": ")});
		}
	}
}

function progress(e) {
	return join([e.done >= 0 ? e.done + (e.total > 0 ? " of " + e.total : "") : "", e.message], " ");
}

function resourceOf(e) {
	return `${e.path ?? e.command ?? (e.pid ? "process " + e.pid : "it")} (resource ${e.resourceId})`;
}

/* What an entry says, without its time and author. */
function sentence(e) {
	const after = text => text ? ": " + text : "";
	switch (e.event) {
	case "operation.created": return "created the operation" + after(e.description);
	case "operation.completed": return (e.aborted ? "completed the operation, aborted" : "completed the operation") + after(e.reason);
	case "operation.failed": return "the operation failed" + after(e.reason);
	case "operation.archived": return "archived";
	case "participant.joined": return "joined, session " + e.sessionId;
	case "participant.left": return "left, session " + e.sessionId + after(e.reason);
	case "call.queued": return "queued " + e.callId + after(e.description);
	case "call.started": return "started " + e.callId + after(e.description);
	case "call.ended": return "ended " + e.callId + (e.result === undefined ? "" : ", result " + e.result);
	case "call.failed": return "failed " + e.callId + after(e.error);
	case "call.cancelled": return "cancelled " + e.callId + after(e.reason);
	case "call.cancelling": return "asked to cancel " + e.callId + after(e.reason);
	case "call.crashed": return "found that " + e.callId + " crashed" + after(e.evidence);
	case "crash.detected": return `found that ${e.participantId}${e.callId ? "'s call" : ""} died` + after(e.evidence);
	case "resource.added": return "registered " + resourceOf(e);
	case "resource.made": return "made resource " + e.resourceId;
	case "resource.removed": return `${e.result}: ${resourceOf(e)}` + after(e.reason);
	case "cleanup.started": return `began the cleanup, epoch ${e.epoch}` + after(e.reason);
	case "cleanup.acknowledged": return "answered the cleanup";
	case "cleanup.done": return "ended the cleanup: " + (join(["removed", "gone", "left", "failed"].map(k => e[k] > 0 && `${e[k]} ${k}`)) || "nothing to remove");
	case "progress": return (e.callId ?? "progress") + " " + progress(e);
	case "abort.set": return "aborted the operation" + after(e.reason);
	case "abort.cleared": return "cleared the abort";
	case "log": return e.message;
	default: return join([e.event, e.callId], " ");
	}
}

function gravity(e) {
	if (["call.failed", "call.crashed", "crash.detected", "operation.failed"].includes(e.event) || e.level === "error")
		return "error";
	if (["abort.set", "call.cancelled", "call.cancelling", "cleanup.started"].includes(e.event) || e.level === "warning" ||
	    (e.event === "resource.removed" && !["removed", "gone", "kept"].includes(e.result)))
		return "warning";
	return e.level === "debug" ? "debug" : "info";
}
