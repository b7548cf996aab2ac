/* cli: what all tools do the same way — options, defaults, output, exit statuses.
 *
 * A tool is: cli_begin, a loop over cli_getopt, the members of one request by json_put on c.body,
 * cli_request, the result by buf_… on c.out, cli_finish.  Nothing here returns a failure: it is
 * said, and the process exits with the status from err.h. */
#ifndef DPL_CLI_H
#define DPL_CLI_H

#include <getopt.h>
#include <stdbool.h>

#include "client.h"
#include "id.h"
#include "json.h"

/* The long forms of the common options; each tool lists those that it takes. */
#define CLI_LEDGER {"ledger", required_argument, NULL, 'C'}
#define CLI_OPERATION {"operation", required_argument, NULL, 'o'}
#define CLI_PARTICIPANT {"participant", required_argument, NULL, 'p'}
#define CLI_TIMEOUT {"timeout", required_argument, NULL, 't'}
#define CLI_OUTPUT {"json", no_argument, NULL, 'j'}, {"quiet", no_argument, NULL, 'q'}, {"verbose", no_argument, NULL, 'v'}
#define CLI_HELP {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}

/* Values of long options without a letter; a tool's own start here. */
enum { CLI_LONG = 256, CLI_KEY, CLI_OWN };
#define CLI_KEY_OPTION {"key", required_argument, NULL, CLI_KEY}

struct cli {
	const char *tool;        /* "dpl-create" */
	const char *usage;       /* the whole help text, … */
	const char *help;        /* … or the first part of it: a string has 4095 bytes at most (C99); NULL */
	int argc;
	char **argv;
	const char *ledger;      /* -C */
	const char *operation;   /* -o, also set by a tool that takes it as an operand */
	const char *participant; /* -p */
	const char *key;         /* --key */
	int64_t wait_ms;
	bool timed;              /* wait_ms was given */
	bool heeded;             /* the environment was asked for it */
	bool json, quiet, verbose;
	bool early_json;         /* --json stands on the line, seen before the options are read */
	bool passes_on;          /* what a wait finds goes to stdout: it is over where nobody reads that any more (a local ledger) */
	bool defer;              /* flush in client_flush only: for a tool that serves many requests */
	bool opened;
	int failure;             /* the status of any failure, where it is not that of err.h; 0.  Set before the options are read */
	const char *stands;      /* what was done and stays so where standard output cannot be written, to be said with that; NULL */
	mode_t umask;            /* what the process was started with, for a command that it runs: … */
	bool ignore_sigpipe, ignore_sigxfsz;
	unsigned closed;         /* bit n: standard descriptor n */
	char id[ID_OPERATION_MAX + 1];  /* of the operation, once resolved */
	char name[ID_NAME_MAX + 1];     /* of the participant, once looked up */
	struct client client;
	struct notice notice;
	struct buf body;         /* the request: an open object */
	struct buf reply;        /* the answer … */
	struct json answer;      /* … parsed */
	struct buf out;          /* what goes to stdout */
};

/* `usage` begins with "usage: TOOL". */
void cli_begin(struct cli *c, int argc, char **argv, const char *usage);

/* The next option that is the tool's own, -1 at the end; operands are argv[optind…].  The common ones
 * among `letters` are taken here. */
int cli_getopt(struct cli *c, const char *letters, const struct option *options);

/* Misuse: one line, how to get help, exit 2. */
_Noreturn void cli_misuse(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A failure of one thing of many: it is said as any other, with --json with the operation c->id, where that is known, but the command goes
 * on.  Its exit status. */
int cli_failed(struct cli *c, const struct why *why);

/* Any failure. */
_Noreturn void cli_die(struct cli *c, const struct why *why);

/* A duration, or a whole number of a range, from an option; `what` names it in the message. */
int64_t cli_duration(struct cli *c, const char *what, const char *text);
int64_t cli_number(struct cli *c, const char *what, const char *text, int64_t least, int64_t most);

/* A text that goes into the ledger: misuse where it is not UTF-8. */
const char *cli_text(struct cli *c, const char *what, const char *text);

/* All of stdin, at most ENTRY_MAX bytes: more is misuse. */
void cli_stdin(struct cli *c, const char *what, struct buf *b);

/* No operands (more) may be there. */
void cli_no_more(struct cli *c, int first);

/* Who I am: -p, DPL_PARTICIPANT, the user's name. */
const char *cli_participant(struct cli *c);
/* Whether -p or DPL_PARTICIPANT says so. */
bool cli_participant_given(const struct cli *c);

/* Put operationId (-o or DPL_OPERATION, resolved; `live`: among live ones only) and participantId. */
void cli_put_operation(struct cli *c, bool live);
/* The same for one of many: ERR_NONE, or why there is none. */
enum err cli_ask_operation(struct cli *c, bool live, struct why *why);
void cli_put_participant(struct cli *c);
/* DPL_SESSION or DPL_CALL, where they are of the operation (cli_put_operation was called) and participant that
 * this command is about, and not of others that the shell works for; else NULL. */
const char *cli_inherited(const struct cli *c, const char *name);
/* Put who calls, or does the work: process `pid` (0: the parent of this one), its start, boot and host. */
void cli_put_origin(struct cli *c, int64_t pid);

/* Close c->body, send it, parse the answer.  A failed one is said, and the process exits. */
void cli_request(struct cli *c, const char *path);

/* The same, for one who can go on without it: ERR_NONE, or what failed with `why`. */
enum err cli_ask(struct cli *c, const char *path, struct why *why);

/* Open the ledger's client; cli_request does it by itself. */
void cli_open(struct cli *c);

/* A line on stderr, behind the tool's name, whatever -q says. */
void cli_say(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Begin the next request. */
void cli_again(struct cli *c);

/* Members of the answer: "" / -1 / false where absent.  The text is valid until the next of these calls
 * with the same `b`. */
const char *cli_answer(const struct cli *c, int object, const char *member, struct buf *b);
int64_t cli_answer_int(const struct cli *c, int object, const char *member);
bool cli_answer_true(const struct cli *c, const char *member);

/* Add the answer to c->out as {"ok":true,…} and a newline. */
void cli_out_json(struct cli *c);

/* Add `export NAME='value'` lines for DPL_LEDGER and the rest, from the answer of create or join. */
void cli_out_exports(struct cli *c);

/* Write c->out to stdout now. */
void cli_flush(struct cli *c);

/* End quietly, as cli_flush does, where nobody is left to read standard output: for who waits before it writes. */
void cli_leave_unread(void);

/* End what speaks to the ledger: what was left here goes (reclaim_left), and a helper ends.  For who ends otherwise than by cli_finish. */
void cli_end_client(struct cli *c);

/* Say on stderr, with -v, what was written where; write the output, close, exit with `status`. */
_Noreturn void cli_finish(struct cli *c, int status);

#endif
