/* supervise: run one command as a call. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "clock.h"
#include "fsx.h"
#include "json.h"
#include "num.h"
#include "supervise.h"
#include "text.h"
#include "tree.h"
#include "vigil.h"

extern char **environ;

enum {
	WATCH_AFTER_MS = 5, /* a shorter command is not worth an inotify instance */
	TREE_AFTER_MS = 20, /* from the command's SIGTERM to that of the rest of its tree */
	WAY_US = 50,        /* to give way to each of the other calls that are stopped at the same time … */
	WAY_MOST_US = 5000, /* … in all */
	PASS_MS = 50,       /* between two looks at a tree that is ending */
	END_TRIES = 6,
	ENTRY_REST = 2048,  /* room for the other members of the end's entry */
	KILL_AGAIN_MS = 250,
	CHASES = 500,       /* looks at our children in a pass that kills */
	COLLECT_MAX = 1 << 20, /* more than a pipe holds */
	PASSES_LAST = 40,   /* of these after SIGKILL: what cannot be killed (another uid, a dead disk) is left */
};

enum stop { STOP_NOT, STOP_ABORT, STOP_CANCEL, STOP_CRASH, STOP_TIMEOUT, STOP_WATCHDOG };

struct run {
	const struct supervise *s;
	struct client *c;
	struct vigil v;
	struct verbs_hold hold;
	struct supervised *end;
	struct why *why;
	char call[ID_NAME_MAX + 1], session[24];
	sigset_t mask;           /* as it was */
	bool ignore_sigchld;     /* likewise */
	struct tree_kept before; /* children that we had when we were started: `other & exec dpl-call -- command` in a shell */
	pid_t child;
	int64_t child_start;
	bool own_group;          /* the command leads a group of its own */
	bool reaped, watching;
	int wait_status;         /* as wait gave it, once reaped */
	struct rusage usage;
	int exec_errno;
	int go, failed;          /* pipes: lets the child go on; tells why exec failed */
	int out;                 /* the command's stdout, captured; -1 */
	int to;                  /* ours, where it could be opened anew */
	struct buf late;         /* taken, and not passed on but for its first `passed` bytes */
	size_t passed;
	int write_error;         /* errno of passing on, 0 */
	struct buf result;
	bool result_long;
	int64_t begun_ms, kill_ms;
	int64_t tree_ms;         /* when the rest of the tree gets its SIGTERM, 0: not due */
	int64_t paused_ms, resumed_ms; /* suspended for so long in all, and until then last */
	enum stop stop;
	char stop_reason[640];
	pid_t hook;              /* --on-abort, while it runs */
	bool killed, told_gone;
};

/* --- who we are --- */

struct user {
	int uid, gid;
};

/* In a ledger of another user root acts as that one (store.h).  What concerns the command is done as who we are. */
static struct user
as_ourselves(void)
{
	int gid = setfsgid(getegid());
	return (struct user){setfsuid(geteuid()), gid};
}

static void
as_before(struct user u)
{
	(void)setfsgid((gid_t)u.gid);
	(void)setfsuid((uid_t)u.uid);
}

/* --- finding the program --- */

/* The status that a shell gives for a program that cannot be run, or 0 with its path. */
static int
find_program(const char *name, struct buf *path, struct why *why)
{
	struct stat st;
	int denied = 0;
	if (strchr(name, '/')) {
		buf_str(path, name);
		if (stat(name, &st) < 0)
			return why_errno(why, "%.300s", name), errno == ENOENT || errno == ENOTDIR ? SUPERVISE_NOT_FOUND : SUPERVISE_CANNOT;
		if (!S_ISDIR(st.st_mode) && access(name, X_OK) == 0)
			return 0;
		errno = S_ISDIR(st.st_mode) ? EISDIR : EACCES;
		return why_errno(why, "%.300s", name), SUPERVISE_CANNOT;
	}
	const char *list = getenv("PATH");
	for (const char *p = list ? list : "/usr/local/bin:/usr/bin:/bin"; *name;) {
		size_t n = strcspn(p, ":");
		buf_clear(path);
		buf_add(path, p, n);
		if (n)
			buf_char(path, '/');
		buf_str(path, name);
		if (!path->failed && stat(path->p, &st) == 0 && S_ISREG(st.st_mode)) {
			if (access(path->p, X_OK) == 0)
				return 0;
			denied = EACCES;
		}
		if (!p[n])
			break;
		p += n + 1;
	}
	if (denied) {
		errno = denied;
		return why_errno(why, "%.300s", name), SUPERVISE_CANNOT;
	}
	why_set(why, ERR_USAGE, "%.300s: command not found", name);
	return SUPERVISE_NOT_FOUND;
}

/* --- the child --- */

static void
close_if(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* In a child: as we were started, so that what is run finds all as if it ran alone. */
static void
as_started(const struct run *r)
{
	const struct supervise *s = r->s;
	(void)as_ourselves();
	umask(s->umask);
	if (!s->ignore_sigpipe)
		signal(SIGPIPE, SIG_DFL);
	if (!s->ignore_sigxfsz)
		signal(SIGXFSZ, SIG_DFL);
	if (r->ignore_sigchld)
		signal(SIGCHLD, SIG_IGN);
	for (int fd = 0; fd <= 2; fd++)
		if (s->closed & 1u << fd)
			close(fd);
	sigprocmask(SIG_SETMASK, &r->mask, NULL);
}

/* In the child, once the frame is there: become the command.  `words` are the call and the session. */
static _Noreturn void
become(const struct run *r, const char *path, const char *words, int failed)
{
	const struct supervise *s = r->s;
	setenv("DPL_LEDGER", r->c->ledger, 1);
	setenv("DPL_OPERATION", s->operation, 1);
	setenv("DPL_PARTICIPANT", s->participant, 1);
	setenv("DPL_CALL", words, 1);
	const char *session = words + strlen(words) + 1;
	if (*session)
		setenv("DPL_SESSION", session, 1);
	else
		unsetenv("DPL_SESSION");
	if (s->watchdog_ms)
		setenv("DPL_WATCHDOG", "1", 1);
	else
		unsetenv("DPL_WATCHDOG");
	as_started(r);
	execve(path, s->argv, environ);
	if (errno == ENOEXEC) { /* a script without #!, as a shell would run it */
		int n = 0;
		while (s->argv[n])
			n++;
		const char **argv = calloc((size_t)n + 3, sizeof *argv);
		if (argv) {
			argv[0] = "sh";
			argv[1] = path;
			for (int i = 1; i < n; i++)
				argv[i + 1] = s->argv[i];
			execve("/bin/sh", (char **)(uintptr_t)argv, environ);
		}
		errno = ENOEXEC;
	}
	int e = errno;
	(void)!write(failed, &e, sizeof e);
	_exit(e == ENOENT ? SUPERVISE_NOT_FOUND : SUPERVISE_CANNOT);
}

static _Noreturn void
child(const struct run *r, const char *path, int go, int failed, int out, pid_t parent)
{
	char words[ID_NAME_MAX + 32];
	size_t n = 0;
	ssize_t got;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(SUPERVISE_SELF);
	if (r->own_group)
		(void)setpgid(0, 0);
	/* The end of file is a supervisor that died or was refused: then the command is not run. */
	while (n < sizeof words && (got = read(go, words + n, sizeof words - n)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			_exit(SUPERVISE_SELF);
		n += (size_t)got;
		if (n >= 2 && !words[n - 1] && memchr(words, '\0', n - 1))
			break;
	}
	if (n < 2 || words[n - 1])
		_exit(SUPERVISE_SELF);
	if (out >= 0)
		dup2(out, 1);
	become(r, path, words, failed);
}

static bool
has_terminal(void)
{
	int fd = fsx_open(AT_FDCWD, "/dev/tty", O_RDWR, 0);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* Without children there is nothing to look for: once the command has ended, what descends from it and lives is a child of
 * ours, since we are the subreaper. */
static bool
has_children(void)
{
	siginfo_t info;
	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Our own descriptor of our stdout that never waits: a slow reader must not keep the supervisor from bringing an abort.
 * What is set on the inherited one would be set for others too. */
static void
open_stdout(struct run *r)
{
	struct stat st;
	r->to = fstat(1, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) ? fsx_open(AT_FDCWD, "/proc/self/fd/1", O_WRONLY | O_NONBLOCK, 0) : -1;
}

static int
start_child(struct run *r, const char *path)
{
	int go[2] = {-1, -1}, failed[2] = {-1, -1}, out[2] = {-1, -1};
	bool capture = r->s->result_from && strcmp(r->s->result_from, "stdout") == 0;
	pid_t self = getpid();
	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC | O_NONBLOCK) < 0 || (capture && pipe2(out, O_CLOEXEC) < 0))
		goto fail;
	r->child = fork();
	if (r->child < 0)
		goto fail;
	if (r->child == 0) {
		close(go[1]);
		child(r, path, go[0], failed[1], out[1], self);
	}
	if (r->own_group)
		(void)setpgid(r->child, r->child); /* both do it, so that neither need wait */
	r->child_start = proc_start(r->child);
	r->go = go[1];
	r->failed = failed[0];
	r->out = out[0];
	if (capture)
		open_stdout(r);
	close(go[0]);
	close(failed[1]);
	close_if(&out[1]);
	return 0;
fail:;
	int e = errno;
	close_if(&go[0]), close_if(&go[1]), close_if(&failed[0]), close_if(&failed[1]), close_if(&out[0]), close_if(&out[1]);
	errno = e;
	return why_errno(r->why, "start a process");
}

/* --- the frame --- */

static void
put_common(struct run *r, struct buf *b)
{
	buf_clear(b);
	json_open(b, NULL, '{');
	json_put(b, "operationId", r->s->operation);
	json_put(b, "participantId", r->s->participant);
}

/* Text that may have been cut within a character, or come from a file name. */
static void
put_text(struct buf *b, const char *name, const char *text)
{
	struct buf repaired = {0};
	text_repair(&repaired, text, strlen(text));
	json_put(b, name, repaired.p ? repaired.p : "");
	buf_free(&repaired);
}

/* Send it: 0 and the parsed reply, or -1 with r->why. */
static int
request(struct run *r, const char *path, struct buf *body, struct buf *reply, struct json *j)
{
	json_close(body, '}');
	int status = client_call_text(r->c, path, body, NULL, reply);
	if (json_parse(j, reply->p ? reply->p : "", reply->n, r->why) < 0)
		return -1;
	if (status == 200)
		return 0;
	struct buf text = {0}, hint = {0};
	char code[40] = "io-error";
	(void)json_copy(j, json_get(j, 0, "code"), code, sizeof code);
	(void)json_string(j, json_get(j, 0, "error"), &text);
	(void)json_string(j, json_get(j, 0, "hint"), &hint);
	why_set(r->why, err_by_name(code), "%s", text.p ? text.p : "?");
	if (hint.n)
		why_hint(r->why, "%s", hint.p);
	buf_free(&text);
	buf_free(&hint);
	json_free(j);
	return -1;
}

/* The command line for people, cut at a character. */
static void
put_command_line(struct buf *b, char **argv)
{
	struct buf line = {0}, text = {0};
	for (int i = 0; argv[i] && line.n < 200; i++)
		buf_fmt(&line, "%s%.200s", i ? " " : "", argv[i]);
	text_repair(&text, line.p ? line.p : "", line.n > 200 ? 200 : line.n);
	if (line.n > 200)
		buf_str(&text, " …");
	json_put(b, "description", text.p ? text.p : "");
	buf_free(&line);
	buf_free(&text);
}

static int
start_frame(struct run *r)
{
	const struct supervise *s = r->s;
	struct buf body = {0}, reply = {0};
	struct json j;
	int64_t session = -1;
	put_common(r, &body);
	if (s->description)
		json_put(&body, "description", s->description);
	else
		put_command_line(&body, s->argv);
	if (s->id)
		json_put(&body, "callId", s->id);
	if (s->parent)
		json_put(&body, "parentId", s->parent);
	if (s->parent_must_exist)
		json_put_bool(&body, "parentMustExist", true);
	if (s->session && num_int(s->session, strlen(s->session), 1, JSON_INT_MAX, &session) == 0)
		json_put_int(&body, "sessionId", session);
	if (!s->fail_on_crash)
		json_put_bool(&body, "failOnCrash", false);
	json_put_bool(&body, "unlessAborted", !s->aborted_ok);
	json_put_int(&body, "participantPid", r->child);
	json_put_int(&body, "participantPidStart", r->child_start);
	if (r->own_group) {
		json_put_int(&body, "processGroup", r->child);
		json_put_int(&body, "processSession", getsid(0));
	}
	json_put_int(&body, "supervisorPid", getpid());
	r->hold = (struct verbs_hold){.id = beat_here(), .watchdog = s->watchdog_ms > 0, .fd = -1, .dog = -1};
	r->hold.id.mode = BEAT_HELD;
	r->hold.id.pid = getpid();
	r->hold.id.start = proc_start(getpid());
	r->hold.id.watched = r->child;
	r->hold.id.watched_start = r->child_start;
	(void)client_hold(r->c, &r->hold);
	int rc = request(r, "/call/start", &body, &reply, &j);
	if (rc == 0) {
		(void)json_copy(&j, json_get(&j, 0, "callId"), r->call, sizeof r->call);
		if (json_integer(&j, json_get(&j, 0, "sessionId"), 1, JSON_INT_MAX, &session) == 0)
			snprintf(r->session, sizeof r->session, "%lld", (long long)session);
		json_free(&j);
	}
	buf_free(&body);
	buf_free(&reply);
	return rc;
}

static void
put_outcome(struct run *r, struct buf *b)
{
	if (WIFEXITED(r->wait_status))
		json_put_int(b, "exitStatus", WEXITSTATUS(r->wait_status));
	else
		json_put_int(b, "signal", WTERMSIG(r->wait_status));
	json_put_int(b, "userMs", (int64_t)r->usage.ru_utime.tv_sec * 1000 + r->usage.ru_utime.tv_usec / 1000);
	json_put_int(b, "systemMs", (int64_t)r->usage.ru_stime.tv_sec * 1000 + r->usage.ru_stime.tv_usec / 1000);
	json_put_int(b, "maxRssKib", r->usage.ru_maxrss);
}

/* What is wrong with how it ended, "" for nothing. */
static void
describe(struct run *r, char *text, size_t size)
{
	text[0] = '\0';
	if (r->exec_errno)
		snprintf(text, size, "cannot execute: %s", strerror(r->exec_errno));
	else if (WIFSIGNALED(r->wait_status))
		snprintf(text, size, "signal %d (%s)", WTERMSIG(r->wait_status), strsignal(WTERMSIG(r->wait_status)));
	else if (WEXITSTATUS(r->wait_status))
		snprintf(text, size, "exit status %d", WEXITSTATUS(r->wait_status));
}

/* The result as text, without the newlines at its end, as $(…) has it. */
static void
result_text(const struct run *r, struct buf *text)
{
	size_t n = r->result.n;
	while (n && r->result.p[n - 1] == '\n')
		n--;
	text_repair(text, r->result.p ? r->result.p : "", n);
}

/* Whether an entry has room for it: a control character takes six bytes there, and what is no UTF-8 three. */
static bool
result_fits(const struct run *r)
{
	struct buf text = {0}, member = {0};
	result_text(r, &text);
	json_put(&member, "result", text.p ? text.p : "");
	bool fits = !member.failed && member.n <= ENTRY_MAX - ENTRY_REST;
	buf_free(&text);
	buf_free(&member);
	return fits;
}

static void
put_result(struct run *r, struct buf *b)
{
	struct buf text = {0};
	if (!r->s->result_from || r->result_long)
		return;
	result_text(r, &text);
	json_put(b, "result", text.p ? text.p : "");
	buf_free(&text);
}

static int
end_frame(struct run *r, const char *problem)
{
	struct buf body = {0}, reply = {0};
	struct json j;
	put_common(r, &body);
	json_put(&body, "callId", r->call);
	put_outcome(r, &body);
	bool failed = r->stop || *problem;
	if (failed) {
		put_text(&body, "error", r->stop ? r->stop_reason : problem);
		json_put_bool(&body, "cancelled", r->stop == STOP_ABORT || r->stop == STOP_CANCEL || r->stop == STOP_CRASH);
	} else {
		put_result(r, &body);
	}
	int rc = request(r, failed ? "/call/fail" : "/call/end", &body, &reply, &j);
	if (rc == 0)
		json_free(&j);
	else if (r->why->code == ERR_ENDED)
		rc = 0; /* it ended the call with the operation, perhaps just now */
	buf_free(&body);
	buf_free(&reply);
	return rc;
}

/* A lock that is not had, a disk that is full: without this entry the call would be taken for crashed. */
static int
surely_end_frame(struct run *r, const char *problem)
{
	int rc;
	for (int try = 1; (rc = end_frame(r, problem)) < 0 && err_info(r->why->code)->retryable && try < END_TRIES; try++) {
		notice(r->s->say, "%s; trying again", r->why->text);
		sleep(1);
	}
	return rc;
}

static void
log_line(struct run *r, const char *level, const char *text)
{
	struct buf body = {0}, reply = {0};
	put_common(r, &body);
	json_put(&body, "callId", r->call);
	json_put(&body, "level", level);
	put_text(&body, "message", text);
	json_close(&body, '}');
	(void)client_call_text(r->c, "/operation/log", &body, NULL, &reply); /* it can do without */
	buf_free(&body);
	buf_free(&reply);
}

/* --- stopping --- */

/* Supervisors in the tree are told of an abort by themselves.  Of our own time only we know, and of a signal who it is sent to. */
static struct tree
tree_of(const struct run *r)
{
	bool deep = r->stop == STOP_TIMEOUT || r->stop == STOP_WATCHDOG || (r->stop && !r->reaped && tree_is_supervisor(r->child));
	return (struct tree){.operation = r->s->operation, .call = r->call, .supervisor = getpid(), .apart = r->c->helper, .root = r->child,
		.root_start = r->child_start, .group = r->own_group ? r->child : -1, .session = -1,
		.cgroup = r->hold.cgroup.n ? r->hold.cgroup.p : NULL, .deep = deep, .before = &r->before};
}

/* SIGTERM to the command at once: it is why somebody aborts.  Looking through /proc for the rest takes milliseconds, in which
 * other supervisors wait for the processor to do the same; most commands end by themselves, and then nobody is left to look for. */
static void
send_term(struct run *r)
{
	if (!r->reaped) {
		kill(r->child, SIGTERM);
		kill(r->child, SIGCONT); /* what is stopped must run to take it */
	}
	r->tree_ms = clock_mono_ms() + TREE_AFTER_MS;
}

/* SIGKILL to all of it, again and again where the command is a supervisor itself: that is not killed, what it runs is. */
static void
kill_all(struct run *r)
{
	struct tree t = tree_of(r);
	r->killed = r->reaped || !tree_is_supervisor(r->child);
	if (!r->reaped && r->killed)
		kill(r->child, SIGKILL);
	(void)tree_signal(&t, SIGKILL, r->reaped || !r->killed ? -1 : r->child, NULL);
	r->kill_ms = clock_mono_ms() + KILL_AGAIN_MS;
}

static void
run_hook(struct run *r)
{
	char pid[24];
	r->hook = fork();
	if (r->hook != 0)
		return;
	snprintf(pid, sizeof pid, "%d", (int)r->child);
	setenv("DPL_LEDGER", r->c->ledger, 1);
	setenv("DPL_OPERATION", r->s->operation, 1);
	setenv("DPL_PARTICIPANT", r->s->participant, 1);
	setenv("DPL_CALL", r->call, 1);
	setenv("DPL_CALL_PID", pid, 1);
	setenv("DPL_ABORT_REASON", r->stop_reason, 1);
	as_started(r);
	execl("/bin/sh", "sh", "-c", r->s->on_abort, (char *)NULL);
	_exit(127);
}

static void __attribute__((format(printf, 3, 4)))
stop(struct run *r, enum stop why, const char *fmt, ...)
{
	va_list ap;
	if (r->stop || r->reaped)
		return;
	va_start(ap, fmt);
	vsnprintf(r->stop_reason, sizeof r->stop_reason, fmt, ap);
	va_end(ap);
	r->stop = why;
	r->kill_ms = clock_mono_ms() + r->s->grace_ms;
	if (r->s->on_abort)
		run_hook(r);
	if (r->hook <= 0)
		send_term(r);
}

/* What the heartbeat said, and what follows. */
static void
heed(struct run *r)
{
	struct vigil *v = &r->v;
	if (v->end == VIGIL_GONE && !r->told_gone) {
		notice(r->s->say, "%s; the command goes on without it", v->reason);
		r->told_gone = true;
	}
	if (v->dead && v->error == ERR_NO_PARTICIPANT)
		stop(r, STOP_CANCEL, "its participant has left");
	else if (v->dead)
		stop(r, STOP_CRASH, "%.600s", v->reason);
	if (v->aborted && !r->s->aborted_ok)
		stop(r, STOP_ABORT, "aborted%s%s", *v->reason ? ": " : "", v->reason);
	if (strcmp(v->call_state, "cancelled") == 0)
		stop(r, STOP_CANCEL, "cancelled");
	if (strcmp(v->call_state, "crashed") == 0)
		stop(r, STOP_CRASH, "it was declared dead");
	if (v->end == VIGIL_FAILED)
		stop(r, STOP_CRASH, "the operation failed");
	if (v->end == VIGIL_COMPLETED)
		stop(r, STOP_CANCEL, "the operation ended");
	if (v->crashed && !r->s->aborted_ok)
		stop(r, STOP_CRASH, "somebody died: %s", v->reason);
}

/* --- signals, terminal --- */

static void
pass_on(const struct run *r, int sig)
{
	if (!r->own_group || kill(-r->child, sig) < 0)
		kill(r->child, sig);
}

/* Whether nobody would let us go on: no ancestor in this session that is outside of our process group, such as a shell with job
 * control.  Then the kernel does not let the terminal stop the group, nor its command (setpgid(2), "orphaned"). */
static bool
is_orphaned(void)
{
	struct proc p, here;
	if (proc_look(getpid(), &here) < 0)
		return false;
	p = here;
	while (p.group == here.group)
		if (p.parent <= 0 || proc_look(p.parent, &p) < 0)
			return true;
	return p.session != here.session;
}

/* The terminal stopped the command, and stops us: we say so first, and then do stop.  `pass`: the signal, where the command has not
 * had it; 0. */
static void
suspend(struct run *r, int pass)
{
	int64_t from = clock_mono_ms();
	if (pass && !r->reaped)
		pass_on(r, pass);
	if (!r->own_group && is_orphaned())
		return;
	if (r->hold.fd >= 0) {
		(void)beat_touch(r->hold.fd);
		(void)beat_set_state(r->hold.fd, BEAT_SUSPENDED);
	}
	log_line(r, "info", "suspended");
	raise(SIGSTOP);
	if (r->hold.fd >= 0) {
		(void)beat_set_state(r->hold.fd, BEAT_RUNNING);
		(void)beat_touch(r->hold.fd);
	}
	if (!r->reaped)
		pass_on(r, SIGCONT);
	vigil_awoke(&r->v);
	r->resumed_ms = clock_mono_ms();
	r->paused_ms += r->resumed_ms - from;
	log_line(r, "info", "resumed");
	(void)vigil_ask(&r->v);
	heed(r);
}

static void
take_signals(struct run *r)
{
	struct signalfd_siginfo info;
	while (vigil_signal(&r->v, &info)) {
		int sig = (int)info.ssi_signo;
		/* From the terminal it went to the whole group, the command included; but a hangup to the leader of the session alone. */
		bool had = !r->own_group && info.ssi_code == SI_KERNEL && !(sig == SIGHUP && getsid(0) == getpid());
		if (sig == SIGCHLD)
			continue;
		if (sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
			suspend(r, had ? 0 : sig);
		else if (!r->reaped && !had)
			pass_on(r, sig);
		else if (r->reaped) /* it is the rest of the tree that is waited for */
			r->kill_ms = 0;
	}
}

static void
reap(struct run *r)
{
	int status;
	struct rusage usage;
	pid_t pid;
	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
		if (pid == r->child) {
			r->reaped = true;
			r->wait_status = status;
			r->usage = usage;
		} else if (pid == r->hook) {
			r->hook = -1;
			if (!(WIFEXITED(status) && WEXITSTATUS(status) == 0))
				send_term(r);
		}
	}
}

/* --- the command's output --- */

/* What to wait for: room to pass on what was taken, or more of it. */
static struct pollfd
output(const struct run *r)
{
	if (r->late.n)
		return (struct pollfd){.fd = r->to >= 0 ? r->to : 1, .events = POLLOUT};
	return (struct pollfd){.fd = r->out, .events = POLLIN};
}

/* Pass on what can be without waiting. */
static void
pass_output(struct run *r)
{
	while (r->late.n) {
		size_t n = r->late.n - r->passed;
		struct pollfd room = {.fd = 1, .events = POLLOUT};
		if (r->to < 0 && n > PIPE_BUF)
			n = PIPE_BUF; /* which fits where there is room at all */
		if (r->to < 0 && poll(&room, 1, 0) == 0)
			return;
		ssize_t written = write(r->to >= 0 ? r->to : 1, r->late.p + r->passed, n);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && errno == EAGAIN)
			return;
		if (written < 0) { /* nobody reads: the command finds that out as if it wrote there itself */
			r->write_error = errno;
			close_if(&r->out);
		}
		r->passed += written < 0 ? n : (size_t)written;
		if (written < 0 || r->passed == r->late.n) {
			buf_clear(&r->late);
			r->passed = 0;
		}
	}
}

/* Take some of what the command has printed; false where there is none (any more). */
static bool
take_some(struct run *r)
{
	char bytes[16384];
	ssize_t n = r->out < 0 ? -1 : read(r->out, bytes, sizeof bytes);
	if (r->out >= 0 && n < 0 && (errno == EINTR || errno == EAGAIN))
		return errno == EINTR;
	if (n <= 0) {
		close_if(&r->out);
		return false;
	}
	if (r->result.n + (size_t)n <= SUPERVISE_RESULT_MAX)
		buf_add(&r->result, bytes, (size_t)n);
	else
		r->result_long = true;
	buf_add(&r->late, bytes, (size_t)n);
	return true;
}

static void
take_output(struct run *r)
{
	if (!r->late.n)
		(void)take_some(r);
	pass_output(r);
}

/* What is still in the pipe when all is over; a process that was left may keep it open, and write on. */
static void
collect_output(struct run *r)
{
	if (r->out >= 0)
		(void)fcntl(r->out, F_SETFL, O_NONBLOCK);
	while (r->late.n < COLLECT_MAX && take_some(r))
		;
	pass_output(r);
	close_if(&r->out);
}

/* Wait for the reader to take the rest: until a signal, and for no longer than the grace where the command was stopped. */
static void
deliver_output(struct run *r)
{
	struct signalfd_siginfo info = {.ssi_signo = 0};
	int64_t end = r->stop ? clock_mono_ms() + r->s->grace_ms : INT64_MAX;
	while (r->late.n && clock_mono_ms() < end) {
		struct pollfd fds[2] = {output(r), {.fd = r->v.signals, .events = POLLIN}};
		(void)poll(fds, 2, r->stop ? PASS_MS : -1);
		while (vigil_signal(&r->v, &info))
			if (info.ssi_signo != SIGCHLD)
				return;
		pass_output(r);
	}
}

static int
read_result(struct run *r)
{
	const char *from = r->s->result_from;
	if (!from)
		return 0;
	if (r->write_error && r->write_error != EPIPE) {
		errno = r->write_error;
		return why_errno(r->why, "write standard output");
	}
	struct user user = as_ourselves();
	int rc = strcmp(from, "stdout") == 0 ? 0 : fsx_read_file(AT_FDCWD, from, &r->result, SUPERVISE_RESULT_MAX), e = errno;
	as_before(user);
	if (rc < 0) {
		errno = e;
		if (e != EFBIG)
			return why_errno(r->why, "the result in %.300s", from);
		r->result_long = true;
	}
	if (!result_fits(r))
		r->result_long = true;
	if (r->result_long) {
		char text[120];
		snprintf(text, sizeof text, "the result is longer than %d bytes, or than an entry has room for, and was not kept", SUPERVISE_RESULT_MAX);
		notice(r->s->say, "%s", text);
		log_line(r, "warning", text);
	}
	return 0;
}

/* --- the life of the command --- */

/* Until when the command must have beaten by itself; INT64_MAX without a watchdog. */
static int64_t
watchdog_deadline(const struct run *r)
{
	int64_t last;
	if (!r->s->watchdog_ms || r->stop || r->hold.dog < 0 || beat_when_open(r->hold.dog, &last) < 0)
		return INT64_MAX;
	if (last < r->resumed_ms) /* it could not while it was suspended */
		last = r->resumed_ms;
	return last + r->s->watchdog_ms;
}

/* When the next thing is due that the clock brings. */
static int64_t
next_deadline(struct run *r)
{
	const struct supervise *s = r->s;
	int64_t next = INT64_MAX;
	if (!r->watching)
		next = r->begun_ms + WATCH_AFTER_MS;
	if (s->timeout_ms && !r->stop && r->begun_ms + s->timeout_ms + r->paused_ms < next)
		next = r->begun_ms + s->timeout_ms + r->paused_ms;
	if (watchdog_deadline(r) < next)
		next = watchdog_deadline(r);
	if (r->stop && !r->killed && r->kill_ms < next)
		next = r->kill_ms;
	if (r->tree_ms && r->tree_ms < next)
		next = r->tree_ms;
	return next;
}

static void
keep_time(struct run *r)
{
	const struct supervise *s = r->s;
	int64_t now = clock_mono_ms();
	if (!r->watching && now >= r->begun_ms + WATCH_AFTER_MS) {
		r->watching = true;
		vigil_watch(&r->v);
		/* What was rung before the watch was there. */
		(void)vigil_ask(&r->v);
		heed(r);
	}
	if (s->timeout_ms && now >= r->begun_ms + s->timeout_ms + r->paused_ms)
		stop(r, STOP_TIMEOUT, "timeout: not done after %lld.%03lld s", (long long)s->timeout_ms / 1000, (long long)s->timeout_ms % 1000);
	if (now >= watchdog_deadline(r))
		stop(r, STOP_WATCHDOG, "watchdog: no beat of its own for %lld.%03lld s", (long long)s->watchdog_ms / 1000, (long long)s->watchdog_ms % 1000);
	if (r->tree_ms && now >= r->tree_ms) {
		struct tree t = tree_of(r);
		r->tree_ms = 0;
		(void)tree_signal(&t, SIGTERM, r->reaped ? -1 : r->child, NULL);
	}
	if (r->stop && !r->killed && now >= r->kill_ms)
		kill_all(r);
}

static void
run_command(struct run *r)
{
	/* An --on-abort command that ended it may have more to do, and has the grace for that. */
	while (!r->reaped || (r->hook > 0 && !r->killed)) {
		struct pollfd out = output(r);
		bool asked = vigil_wait(&r->v, next_deadline(r), &out, 1);
		take_signals(r);
		if (out.revents)
			take_output(r);
		reap(r);
		if (asked) /* behind the reaping: what has ended by itself is not stopped any more */
			heed(r);
		keep_time(r);
	}
}

static void
leave_orphans(struct run *r)
{
	struct tree t = tree_of(r);
	struct buf who = {0}, text = {0};
	int n = tree_signal(&t, 0, -1, &who);
	if (n < 0)
		buf_fmt(&text, "what is left running cannot be looked for: %s", strerror(errno));
	if (who.n)
		buf_fmt(&text, "left running: %.1000s", who.p);
	if (text.n) {
		if (!text.failed) {
			notice(r->s->say, "%s", text.p);
			log_line(r, "warning", text.p);
		}
	}
	buf_free(&who);
	buf_free(&text);
}

/* Whether there are children that are the call's.  SIGKILL is sent to them until there are none. */
static bool
chase(struct run *r, const struct tree *t, int sig)
{
	for (int i = 0; i < CHASES; i++) {
		reap(r);
		if (tree_signal_children(t, sig == SIGKILL ? sig : 0) == 0)
			return false;
		if (sig != SIGKILL)
			break;
	}
	return true;
}

/* End what the command left: SIGTERM, after the grace SIGKILL, until two passes find nobody. */
static void
end_tree(struct run *r)
{
	struct tree t = tree_of(r);
	int64_t kill_ms = clock_mono_ms() + r->s->grace_ms;
	int clean = 0, last = 0, sig = SIGTERM;
	if (r->killed)
		sig = SIGKILL;
	else if (r->stop && r->kill_ms < kill_ms)
		kill_ms = r->kill_ms; /* they have had their SIGTERM */
	r->kill_ms = kill_ms;
	while (clean < 2 && last < PASSES_LAST) {
		struct pollfd out = output(r);
		clean = tree_signal(&t, sig, -1, NULL) != 0 || chase(r, &t, sig) ? 0 : clean + 1;
		sig = clock_mono_ms() >= r->kill_ms ? SIGKILL : 0;
		last += sig == SIGKILL;
		if (clean)
			continue;
		(void)vigil_wait(&r->v, clock_mono_ms() + PASS_MS, &out, 1);
		if (out.revents)
			take_output(r);
		take_signals(r);
		reap(r);
	}
	if (clean < 2)
		leave_orphans(r);
}

/* --- all of it --- */

static int
status_of(const struct run *r)
{
	switch (r->stop) {
	case STOP_ABORT:
	case STOP_CANCEL:
		return SUPERVISE_ABORTED;
	case STOP_CRASH:
		return SUPERVISE_FAILED;
	case STOP_TIMEOUT:
	case STOP_WATCHDOG:
		return SUPERVISE_TIMED_OUT;
	case STOP_NOT:
		break;
	}
	if (r->exec_errno)
		return r->exec_errno == ENOENT ? SUPERVISE_NOT_FOUND : SUPERVISE_CANNOT;
	return WIFEXITED(r->wait_status) ? WEXITSTATUS(r->wait_status) : 128 + WTERMSIG(r->wait_status);
}

/* What stopped this command stops those of others too, and telling them comes before closing this frame: with fifty of
 * them on two processors the last is told in half the time. */
static void
give_way(const struct run *r)
{
	bool shared = r->stop == STOP_ABORT || r->stop == STOP_CANCEL || r->stop == STOP_CRASH;
	if (shared && r->v.running > 1)
		usleep(r->v.running < WAY_MOST_US / WAY_US ? (useconds_t)r->v.running * WAY_US : WAY_MOST_US);
}

/* The frame is there: let the command run, and see it to its end. */
static int
attend(struct run *r)
{
	char problem[120];
	r->v.call = r->call;
	r->v.held = r->hold.fd;
	r->begun_ms = clock_mono_ms();
	r->v.next_ms = r->begun_ms + r->v.beat_ms; /* the start was a beat */
	take_signals(r); /* those of the time in which the lock was waited for: the child has them before it runs */
	char go[ID_NAME_MAX + 32];
	int n = snprintf(go, sizeof go, "%s%c%s", r->call, 0, r->session);
	(void)fsx_write(r->go, go, (size_t)n + 1); /* a child that died meanwhile is reaped */
	close_if(&r->go);
	run_command(r);
	give_way(r);
	if (r->s->leave_orphans)
		leave_orphans(r);
	else if (has_children() || r->hold.cgroup.n)
		end_tree(r);
	collect_output(r);
	if (read(r->failed, &r->exec_errno, sizeof r->exec_errno) != sizeof r->exec_errno)
		r->exec_errno = 0;
	struct why missing = {.code = ERR_NONE};
	describe(r, problem, sizeof problem);
	if (!*problem && !r->stop && read_result(r) < 0) {
		missing = *r->why;
		snprintf(problem, sizeof problem, "%.100s", missing.text);
	}
	r->end->status = status_of(r);
	r->end->signal = !r->stop && !r->exec_errno && WIFSIGNALED(r->wait_status) ? WTERMSIG(r->wait_status) : 0;
	r->end->duration_ms = clock_mono_ms() - r->begun_ms;
	int rc = surely_end_frame(r, problem);
	deliver_output(r);
	if (rc < 0 && r->end->status == 0)
		r->end->status = SUPERVISE_SELF;
	if (rc == 0 && missing.code) {
		*r->why = missing;
		r->end->status = SUPERVISE_SELF;
		rc = -1;
	} else if (rc == 0 && r->exec_errno) {
		errno = r->exec_errno;
		why_errno(r->why, "%.300s", r->s->argv[0]);
	}
	return rc;
}

static sigset_t
attended(void)
{
	static const int list[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		sigaddset(&set, list[i]);
	return set;
}

/* It was refused: what a supervisor says of that. */
static int
refused_status(enum err code)
{
	return code == ERR_ABORTED ? SUPERVISE_ABORTED : code == ERR_FAILED ? SUPERVISE_FAILED : SUPERVISE_SELF;
}

int
supervise(struct client *c, const struct supervise *s, struct supervised *end, struct why *why)
{
	struct run *r = calloc(1, sizeof *r);
	struct buf path = {0};
	sigset_t signals = attended();
	int rc = -1;
	*end = (struct supervised){.status = SUPERVISE_SELF};
	why->code = ERR_NONE;
	why->text[0] = why->hint[0] = '\0';
	if (!r)
		return why_set(why, ERR_IO, "out of memory");
	*r = (struct run){.s = s, .c = c, .end = end, .why = why, .go = -1, .failed = -1, .out = -1, .to = -1, .hold = {.fd = -1, .dog = -1}};
	r->v = (struct vigil){.client = c, .operation = s->operation, .participant = s->participant, .verbose = s->verbose, .held = -1,
		.signals = -1, .beat_ms = 4500, .jitter_ms = 500};
	struct user user = as_ourselves();
	int cannot = find_program(s->argv[0], &path, why);
	as_before(user);
	if (cannot) {
		end->status = cannot;
		goto out;
	}
	sigprocmask(SIG_BLOCK, &signals, &r->mask);
	r->ignore_sigchld = signal(SIGCHLD, SIG_DFL) == SIG_IGN; /* the kernel would reap for us, and keep the status to itself */
	r->own_group = !has_terminal();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (vigil_begin(&r->v, &signals) < 0) {
		why_errno(why, "wait for signals");
		goto out;
	}
	if (has_children())
		tree_find_children(&r->before, getpid());
	if (start_child(r, path.p) < 0)
		goto out;
	if (start_frame(r) < 0) {
		end->status = refused_status(why->code);
		close_if(&r->go); /* the child ends */
		while (waitpid(r->child, NULL, 0) < 0 && errno == EINTR)
			;
		goto out;
	}
	snprintf(end->call, sizeof end->call, "%s", r->call);
	rc = attend(r);
out:
	(void)client_hold(c, NULL);
	if (r->hold.cgroup.n)
		cgroup_remove(r->hold.cgroup.p);
	buf_free(&r->hold.cgroup);
	/* After the end is in the journal and the file is gone: this tells nobody anything. */
	close_if(&r->hold.fd), close_if(&r->hold.dog);
	close_if(&r->go), close_if(&r->failed), close_if(&r->out), close_if(&r->to);
	vigil_finish(&r->v);
	buf_free(&r->result);
	buf_free(&r->late);
	tree_free_kept(&r->before);
	buf_free(&path);
	free(r);
	return rc;
}
