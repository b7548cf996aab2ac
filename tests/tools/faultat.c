/* faultat - run a command and let one of its system calls go wrong
 *
 *	faultat [-1] -l file command [argument ...]       list its calls, one a line: P.N name
 *	faultat [-1] -k P.N[x] command [argument ...]     kill -9 at the entry of a call, with x at its exit: 137
 *	faultat [-1] -k STOP command [argument ...]       likewise, entries and exits of process 0 counted from 0
 *	faultat [-1] -e P.N=ERRNO[+] command ...          let the call fail; with + every later one of that name too
 *	faultat [-1] -s P.N[:BYTES] command ...           a read or write of so many bytes, else of half of them
 *	faultat [-1] -t P.N[:BYTES] command ...           likewise, and then kill -9
 *
 * The points are those of tests/faults/inject.h; P.NAME is the first call of that name.  With -1 only the command's own process is looked at, and killed: what it
 * has started lives on.  The status is the command's; 125 where the point was not come to, but for -k. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../faults/inject.h"

static void
list(void *arg, const struct seen *s)
{
	if (!s->at_exit)
		fprintf(arg, "%d.%ld %s\n", s->process, s->call, s->name);
}

static _Noreturn void
usage(void)
{
	fprintf(stderr, "usage: faultat [-1] -l file | -k P.N[x] | -e P.N=ERRNO[+] | -s P.N[:BYTES] | -t P.N[:BYTES] command [argument ...]\n");
	exit(125);
}

static void
parse(const char *text, struct fault *f)
{
	static char name[24];
	char rest[20] = "", *plus, *end;
	if (f->kind == FAULT_KILL && !strchr(text, '.')) {
		long stop = strtol(text, &end, 10);
		if (end == text || *end || stop < 0)
			usage();
		f->call = stop / 2;
		f->at_exit = stop % 2;
		return;
	}
	if (sscanf(text, "%d.%23[a-z_0-9]%15s", &f->process, name, rest) < 2)
		usage();
	f->call = strtol(name, &end, 10);
	if (end == name) {
		f->name = name;
		f->call = 1;
	} else if (strcmp(end, "x") == 0 && f->kind == FAULT_KILL) {
		f->at_exit = true;
	} else if (*end) {
		usage();
	}
	if (f->kind == FAULT_ERROR && *rest == '=') {
		if ((plus = strchr(rest, '+'))) {
			f->kind = FAULT_ERRORS;
			*plus = '\0';
		}
		if (!(f->error = inject_errno(rest + 1)))
			usage();
	} else if ((f->kind == FAULT_SHORT || f->kind == FAULT_TORN) && *rest == ':') {
		f->size = strtoull(rest + 1, NULL, 10);
	} else if (*rest || f->kind == FAULT_ERROR) {
		usage();
	}
}

int
main(int argc, char **argv)
{
	struct fault f = {.kind = FAULT_NONE};
	struct how how = {.fd = {-1, -1, -1}};
	for (int o; (o = getopt(argc, argv, "+1e:k:l:s:t:")) != -1;)
		switch (o) {
		case '1': how.alone = true; break;
		case 'e': f.kind = FAULT_ERROR; parse(optarg, &f); break;
		case 'k': f.kind = FAULT_KILL; parse(optarg, &f); break;
		case 's': f.kind = FAULT_SHORT; parse(optarg, &f); break;
		case 't': f.kind = FAULT_TORN; parse(optarg, &f); break;
		case 'l':
			how.watch = (struct watcher){list, fopen(optarg, "we")};
			if (!how.watch.arg) {
				perror(optarg);
				return 125;
			}
			break;
		default: usage();
		}
	if (optind == argc || (f.kind == FAULT_NONE && !how.watch.arg))
		usage();
	struct outcome r = inject_run(argv + optind, &f, &how);
	if (how.watch.arg && fclose(how.watch.arg) != 0) {
		perror("faultat");
		return 125;
	}
	if (f.kind != FAULT_NONE && f.kind != FAULT_KILL && !r.reached) {
		fprintf(stderr, "faultat: the command came to no such point\n");
		return 125;
	}
	return r.status;
}
