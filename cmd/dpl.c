/* dpl - run dpl-X for dpl X */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agents.h"
#include "cli.h"
#include "tools.h"

static const char usage[] =
	"usage: dpl [command [argument ...]]\n"
	"       dpl help [command | agents]\n"
	"\n"
	"Run dpl-COMMAND, which is looked for beside this program and on PATH; without a\n"
	"command, list those that belong to dpl.\n"
	"\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl show --all\n"
	"  dpl help agents\n";

static void
list(struct cli *c)
{
	for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
		buf_fmt(&c->out, "%-14s %s\n", tools[i].name, tools[i].about);
	buf_str(&c->out, "\n'dpl help COMMAND' shows how one is used, 'dpl help agents' is a short guide for AI agents.\n");
}

/* Become dpl-`command`; returns only where that fails. */
static void
run(struct cli *c, const char *command, char **argv)
{
	char name[NAME_MAX + 1], path[PATH_MAX];
	struct why why;
	if (!*command || strchr(command, '/') || strlen(command) > 100)
		cli_misuse(c, "'%.100s' is not a command", command);
	snprintf(name, sizeof name, "dpl-%s", command);
	argv[0] = name;
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	if (n > 0) {
		path[n] = '\0';
		char *slash = strrchr(path, '/');
		snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), "%s", name);
		execv(path, argv);
	}
	execvp(name, argv);
	if (errno == ENOENT)
		cli_misuse(c, "there is no command %s; 'dpl' lists them", name);
	why_errno(&why, "%s", name);
	cli_die(c, &why);
}

static void
help(struct cli *c, char **argv)
{
	const char *topic = argv[2];
	if (!topic) {
		buf_str(&c->out, usage);
	} else if (strcmp(topic, "agents") == 0) {
		buf_str(&c->out, agents_guide);
	} else {
		static char option[] = "--help";
		char *command[] = {NULL, option, NULL};
		run(c, strncmp(topic, "dpl-", 4) == 0 ? topic + 4 : topic, command);
	}
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {CLI_HELP, {0}};
	struct cli c;
	cli_begin(&c, argc, argv, usage);
	c.early_json = false; /* what stands behind the command is the command's */
	if (argc > 1 && argv[1][0] != '-') {
		if (strcmp(argv[1], "help") == 0)
			help(&c, argv);
		else
			run(&c, argv[1], argv + 1);
	} else {
		(void)cli_getopt(&c, "+:hV", options);
		cli_no_more(&c, optind);
		list(&c);
	}
	cli_finish(&c, EXIT_DONE);
}
