/* test_proc - who a process is, while it starts one program after the other */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proc.h"
#include "unit.h"

enum { LOOKS = 3000 };

static char self[] = "/proc/self/exe";

/* A child that runs this program with that argument and environment. */
static pid_t
start(char *argument, char *const env[])
{
	pid_t pid = fork();
	if (pid == 0) {
		char *const argv[] = {self, argument, NULL};
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execve(self, argv, env);
		_exit(1);
	}
	return pid;
}

static void
end(pid_t pid)
{
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

/* Whether its program is what was started, and not the copy of this one any more. */
static void
wait_until_it_runs(pid_t pid, const char *argument)
{
	char command[100] = "";
	struct timespec t = {0, 1000000};
	for (int i = 0; i < 10000 && !strstr(command, argument); i++) {
		nanosleep(&t, NULL);
		proc_command(pid, command, sizeof command);
	}
	CHECK(strstr(command, argument) != NULL);
}

static void
variables(void)
{
	char first[] = "ONE=1", second[] = "TWO=22", *const env[] = {first, second, NULL}, argument[] = "waits";
	pid_t pid = start(argument, env);
	wait_until_it_runs(pid, argument);
	CHECK(proc_has_variable(pid, "ONE=1"));
	CHECK(proc_has_variable(pid, "TWO=22"));
	CHECK(proc_has_variable(pid, "TWO="));
	CHECK(!proc_has_variable(pid, "TWO=2"));
	CHECK(!proc_has_variable(pid, "WO=22"));
	CHECK(!proc_has_variable(pid, "THREE="));
	end(pid);
	CHECK(!proc_has_variable(pid, "ONE=1"));
}

static void
an_empty_environment_is_not_waited_for(void)
{
	char *const env[] = {NULL}, argument[] = "waits";
	struct timespec from, to;
	pid_t pid = start(argument, env);
	wait_until_it_runs(pid, argument);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < 200; i++)
		CHECK(!proc_has_variable(pid, "ONE="));
	clock_gettime(CLOCK_MONOTONIC, &to);
	CHECK(to.tv_sec - from.tv_sec < 30); /* 200 ms for each would be 40 s */
	end(pid);
}

static void
one_that_starts_program_after_program_has_its_environment_at_each_look(void)
{
	char variable[] = "ONE=1", *const env[] = {variable, NULL}, argument[] = "again";
	pid_t pid = start(argument, env);
	int found = 0;
	wait_until_it_runs(pid, argument);
	for (int i = 0; i < LOOKS; i++)
		found += proc_has_variable(pid, "ONE=1");
	CHECK_INT(found, LOOKS);
	end(pid);
}

int
main(int argc, char *argv[])
{
	if (argc > 1 && strcmp(argv[1], "again") == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(self, argv);
		return 1;
	}
	if (argc > 1) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	RUN(variables);
	RUN(an_empty_environment_is_not_waited_for);
	RUN(one_that_starts_program_after_program_has_its_environment_at_each_look);
	return unit_end();
}
